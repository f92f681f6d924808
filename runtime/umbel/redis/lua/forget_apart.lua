-- Forget the record of a task that is sent again, where records are in other slots than queues (Redis Cluster).
--
-- KEYS  1 result
-- ARGV  1 the first 16 bytes of the record, with the time of its writing
-- Returns 1 = it is gone, 0 = another stands there, or a note of who waits

if ARGV[1] ~= '' and string.byte(ARGV[1], 2) ~= 1 and redis.call('GETRANGE', KEYS[1], 0, 15) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
