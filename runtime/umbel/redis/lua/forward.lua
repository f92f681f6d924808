-- Forward a dead letter to another queue, once, however often its worker tries.
--
-- KEYS  1 meta, 2 bell, 3 mark of this forwarding, 4..13 ready lists by priority 0..9, 14 fair order, 15 its clocks: all of the
--       other queue
-- ARGV  1 layout version of the caller, 2 message, 3 ttl of the mark in ms
-- Returns {"ok"}, {"duplicate"}, {"closed"}, {"layout", version in Redis}
--
-- The worker reports the letter's end to its own queue after this: if it dies in between, the next one finds the mark.

local META, READY = KEYS[1], 4
-- include enqueue

local settings = redis.call('HMGET', KEYS[1], 'layout', 'intake', 'dispatch')
if settings[1] and tonumber(settings[1]) > tonumber(ARGV[1]) then
  return {'layout', settings[1]}
end
if redis.call('EXISTS', KEYS[3]) == 1 then
  return {'duplicate'}
end
if settings[2] == 'Reject' then
  return {'closed'}
end
redis.call('HDEL', KEYS[1], '') -- nothing: see cycle.lua on a full Redis
redis.call('SET', KEYS[3], '1', 'PX', ARGV[3])
if not settings[1] then
  redis.call('HSET', KEYS[1], 'layout', ARGV[1])
end
local time = redis.call('TIME')
local stamp = struct.pack('>I8', time[1] * 1000 + math.floor(time[2] / 1000))
local message = string.sub(ARGV[2], 1, 11) .. stamp .. string.sub(ARGV[2], 20)
enqueue(message)
if settings[3] ~= 'Held' then
  redis.call('ZADD', KEYS[2], 0, '1')
end
return {'ok'}
