-- Ask for a reply to a task whose message does not name an inbox.
--
-- KEYS  1 result
-- ARGV  1 a record in state PENDING without meta data, whose value is the key of the inbox, 2 its ttl in ms
-- Returns what stands there: the record, or nil if there was none and the watch was left
--
-- Who stores the record finds the watch in the same step and pushes to the inbox. It is a short cut, not a promise: the
-- waiter re-reads the record now and then.

local stored = redis.call('GET', KEYS[1])
if stored and string.byte(stored, 2) ~= 1 then
  return stored
end
local watch = ARGV[1]
if stored then
  -- Others wait too: name all of them, each on a line.
  local named = string.find(stored, string.sub(watch, 17), 17, true)
  watch = named and stored or stored .. '\n' .. string.sub(watch, 17)
end
redis.call('SET', KEYS[1], watch, 'PX', ARGV[2])
return nil
