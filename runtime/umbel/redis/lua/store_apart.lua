-- Store a record where inboxes are in other slots (Redis Cluster); who calls tells those who wait, after.
--
-- KEYS  1 result
-- ARGV  1 record, 2 ttl in ms ("0" = for ever), 3 "end" for the end of a delivery, written before its acknowledgement; else ""
-- Returns {1 = written or 0 = refused, the names in the watch that stood there, one a line}
--
-- Byte 2 of a record is the code of its state (16 and up are final), bytes 3 and 4 the attempt. An end is refused only if a
-- later attempt stands there: its owner was buried, and the message went to another. The end of this attempt may be written
-- again, since the answer to the first time can be lost.

-- include watchers

local stored = redis.call('GETRANGE', KEYS[1], 0, 3)
local names = ''
if #stored == 4 then
  local state = string.byte(stored, 2)
  local old = string.byte(stored, 3) * 256 + string.byte(stored, 4)
  local new = string.byte(ARGV[1], 3) * 256 + string.byte(ARGV[1], 4)
  if old > new or (ARGV[3] ~= 'end' and (state == 16 or (old == new and state >= 16))) then
    return {0, ''}
  end
  if state == 1 then
    names = read_watch(redis.call('GET', KEYS[1]))
  end
end
if names ~= '' and string.byte(ARGV[1], 2) < 16 then
  redis.call('SET', KEYS[1], make_watch(names, ARGV[1]), 'PX', math.max(tonumber(ARGV[2]), WATCH_TTL))
elseif ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return {1, names}
