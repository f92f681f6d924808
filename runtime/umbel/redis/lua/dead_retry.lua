-- Send dead letters again: out of the dead letters and to the end of the ready lists, in one step.
--
-- KEYS  1 dead, 2 meta, 3 bell, 4..13 ready lists by priority 0..9, 14 fair order, 15 its clocks, then the result keys of the letters that have one
-- ARGV  1 layout version of the caller, then for each letter: member, fresh nonce, "1" if it has a result key else "0"
-- Returns {"ok", how many were there}, {"closed", ""}, {"layout", version in Redis}
--
-- A letter that is not there any more was sent again or dropped by somebody else: nothing is done for it, so none is sent twice.
-- Its result goes too, so that whoever waits from now on waits for the new end; a note of who waits stays.

local META, READY = KEYS[2], 4
-- include enqueue

local settings = redis.call('HMGET', META, 'layout', 'intake', 'dispatch')
if settings[1] and tonumber(settings[1]) > tonumber(ARGV[1]) then
  return {'layout', settings[1]}
end
if settings[2] == 'Reject' then
  return {'closed', ''}
end

local time = redis.call('TIME')
local stamp = struct.pack('>I8', time[1] * 1000 + math.floor(time[2] / 1000))
local none = string.rep('\0', 8)
local key, sent = 16, 0

for at = 2, #ARGV, 3 do
  local member = ARGV[at]
  local there = redis.call('ZREM', KEYS[1], member) == 1
  if ARGV[at + 2] == '1' then
    if there then
      local stored = redis.call('GETRANGE', KEYS[key], 1, 1)
      if stored ~= '' and string.byte(stored) ~= 1 then
        redis.call('DEL', KEYS[key])
      end
    end
    key = key + 1
  end
  if there then
    local message = string.sub(member, 5 + struct.unpack('>I4', member))
    if #message >= 29 then
      -- As a message that was never delivered: no flags but that of a group, all counts zero, enqueued now.
      local flags = string.char(is_grouped(message) and 16 or 0)
      message = string.sub(message, 1, 1) .. flags .. string.sub(message, 3, 3) .. none .. stamp .. ARGV[at + 1] .. string.sub(message, 28)
    end
    enqueue(message)
    sent = sent + 1
  end
end
if sent > 0 and settings[3] ~= 'Held' then
  redis.call('ZADD', KEYS[3], 0, '1')
end
return {'ok', sent}
