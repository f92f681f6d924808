-- Become or stay the leader of a source of schedules.
--
-- KEYS  1 lock, 2 epoch
-- ARGV  1 token of this beat, 2 ttl of the lock in ms, 3 the epoch must be higher than this,
--       4 the epoch that this beat believes to lead in, 0 = none
-- Returns the epoch; 0 = another beat leads
--
-- The epoch grows with each change of the leader. It also grows past ARGV 3, so that a leader whose epochs were lost with a
-- part of Redis gets ahead of what the queues remember; and past ARGV 4 where the lock is gone, so that a leader sees by a new
-- epoch that Redis was emptied, and writes down again what it knows.

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local epoch
local floor = tonumber(ARGV[3])
if holder then
  epoch = tonumber(redis.call('GET', KEYS[2]) or '0')
else
  epoch = redis.call('INCR', KEYS[2])
  floor = math.max(floor, tonumber(ARGV[4]))
end
if epoch <= floor then
  epoch = floor + 1
  redis.call('SET', KEYS[2], epoch)
end
return epoch
