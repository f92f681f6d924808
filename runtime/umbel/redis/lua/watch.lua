-- Ask for a reply to a task whose message does not name an inbox, or for all states of a task.
--
-- KEYS  1 result
-- ARGV  1 a watch, as parts/watchers.lua has them, with one name, 2 its ttl in ms
-- Returns what stands there: the record, or nil if there was none
--
-- Who stores a record finds the watch in the same step and pushes to the inbox. It is a short cut, not a promise: the
-- waiter re-reads the record now and then.

-- include watchers

local stored = redis.call('GET', KEYS[1])
if not stored then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return nil
end
local code = string.byte(stored, 2)
if code >= 16 then
  return stored
end
local name, names, record = string.sub(ARGV[1], 17), '', stored
if code == 1 then
  names, record = read_watch(stored) -- others wait too
end
if not string.find('\n' .. names .. '\n', '\n' .. name .. '\n', 1, true) then
  names = names == '' and name or names .. '\n' .. name
end
if record then
  redis.call('SET', KEYS[1], make_watch(names, record), 'PX', math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[2])))
else
  redis.call('SET', KEYS[1], string.sub(stored, 1, 16) .. names, 'PX', ARGV[2])
end
return record
