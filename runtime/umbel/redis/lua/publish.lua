-- Publish messages to one queue.
--
-- KEYS  1 meta, 2 bell, 3 eta, 4..13 ready lists by priority 0..9; or 4 alone, the list that all messages go to
-- ARGV  1 layout version of the caller
--       then for each message: payload, delay in ms ("0" = ready at once)
-- Returns {status, detail}: {"ok", now ms}, {"closed", ""}, {"layout", version in Redis}
--
-- The intake is checked, the enqueue time is stamped, and the bell rings in one step. A burst rings once: the bell holds
-- one marker. A delayed message rings only when it becomes the earliest, since the workers wait until the earliest one.

local call = redis.call
local settings = call('HMGET', KEYS[1], 'layout', 'intake')
if not settings[1] then
  call('HSET', KEYS[1], 'layout', ARGV[1])
elseif tonumber(settings[1]) > tonumber(ARGV[1]) then
  return {'layout', settings[1]}
end
if settings[2] == 'Reject' then
  return {'closed', ''}
end

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local from = time[1] * 1000 + math.ceil(time[2] / 1000) -- rounded up, so that no delay is shorter than asked for
local stamp = struct.pack('>I8', now)
local ring = false
local one_list = #KEYS == 4 and KEYS[4]

for i = 2, #ARGV, 2 do
  local raw = ARGV[i]
  local message = string.sub(raw, 1, 11) .. stamp .. string.sub(raw, 20)
  local delay = tonumber(ARGV[i + 1])
  if delay > 0 then
    call('ZADD', KEYS[3], from + delay, message)
    if call('ZRANGE', KEYS[3], 0, 0)[1] == message then
      ring = true
    end
  else
    call('RPUSH', one_list or KEYS[4 + string.byte(raw, 3)], message)
    ring = true
  end
end
if ring then
  call('ZADD', KEYS[2], 0, '1')
end
return {'ok', now}
