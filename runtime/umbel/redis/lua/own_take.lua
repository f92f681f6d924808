-- Put some of what waits in an own queue aside, for those who wait for it to be told.
--
-- KEYS  1 meta, 2 what stands aside, 3 in-flight count, 4 park, 5 eta, 6 fair order, 7..16 ready lists by priority 0..9
-- ARGV  1 token of the janitor, 2 how many messages
-- Returns how many were put aside; -1 = a worker consumes the queue again, or another janitor ends it
--
-- What stands aside counts once, whoever settles it, and another janitor goes on with what a dead one leaves.

-- include set_aside

if redis.call('HGET', KEYS[1], 'ending') ~= ARGV[1] then
  return -1
end
local ready = {unpack(KEYS, 7, 16)}
local aside = set_aside(ready, KEYS[5], KEYS[6], KEYS[4], KEYS[2], KEYS[3], tonumber(ARGV[2]), function(message)
  return message
end)
return #aside[2]
