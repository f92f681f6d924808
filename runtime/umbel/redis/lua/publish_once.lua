-- Publish nodes of a workflow to one queue, each of them once. They are let in whatever the queue's bound: they stand for a task
-- that was let in.
--
-- KEYS  1 guard, 2 meta, 3 bell, 4 eta, 5..14 ready lists by priority 0..9, 15 fair order, 16 its clocks
-- ARGV  1 layout version of the caller, 2 ms that the guard lives, then for each node: its number, payload, delay in ms ("0" = ready at once)
-- Returns {"ok", now ms, how many were published, 1 = the queue is new, or had ended before}, {"closed", ""},
--         {"layout", version in Redis}

local call = redis.call
local GUARD, META, ETA, READY = KEYS[1], KEYS[2], KEYS[4], 5

local settings = call('HMGET', META, 'layout', 'intake')
if settings[1] and tonumber(settings[1]) > tonumber(ARGV[1]) then
  return {'layout', settings[1]}
end
if settings[2] == 'Reject' then
  return {'closed', ''}
end
if not settings[1] then
  call('HSET', META, 'layout', ARGV[1])
end

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local from = time[1] * 1000 + math.ceil(time[2] / 1000)
local stamp = struct.pack('>I8', now)

-- include enqueue

local ring, count = false, 0
for i = 3, #ARGV, 3 do
  if call('SETBIT', GUARD, ARGV[i], 1) == 0 then
    local raw, delay = ARGV[i + 1], tonumber(ARGV[i + 2])
    local message = string.sub(raw, 1, 11) .. stamp .. string.sub(raw, 20)
    count = count + 1
    if delay > 0 then
      call('ZADD', ETA, from + delay, message)
      ring = ring or call('ZRANGE', ETA, 0, 0)[1] == message
    else
      enqueue(message)
      ring = true
    end
  end
end
call('PEXPIRE', GUARD, ARGV[2])
if ring then
  call('ZADD', KEYS[3], 0, '1')
end
return {'ok', now, count, settings[1] and 0 or 1}
