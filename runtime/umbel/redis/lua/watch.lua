-- Ask for a reply to a task whose message does not name an inbox.
--
-- KEYS  1 result
-- ARGV  1 a record in state PENDING whose value is the key of the inbox, 2 its ttl in ms
-- Returns what stands there: the record, or nil if there was none and the watch was left
--
-- Who stores the record finds the watch in the same step and pushes to the inbox. It is a short cut, not a promise: the
-- waiter re-reads the record now and then.

local stored = redis.call('GET', KEYS[1])
if not stored or string.byte(stored, 2) == 1 then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return nil
end
return stored
