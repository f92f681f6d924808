-- Note a death with the messages that were charged for it, for the story of those that become dead letters.
--
-- KEYS  1 deaths of this queue
-- ARGV  1 note, 2 how many notes to keep, 3 ttl in ms
-- Returns how many notes there are

redis.call('LTRIM', KEYS[1], 1 - ARGV[2], -1) -- first: see cycle.lua on a full Redis
local count = redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return count
