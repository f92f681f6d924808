-- Store a record outside of a cycle, unless a later attempt or a final state of this one stands there.
--
-- KEYS  1 result [, 2 inbox]
-- ARGV  1 record, 2 ttl in ms ("0" = for ever), 3 task id (for the reply)
-- Returns 1 = written, 0 = refused
--
-- Byte 2 of a record is the code of its state (16 and up are final), bytes 3 and 4 the attempt; a watch has that of what it keeps.

-- include watchers

local stored = redis.call('GETRANGE', KEYS[1], 0, 3)
if #stored == 4 then
  local function attempt(record)
    return string.byte(record, 3) * 256 + string.byte(record, 4)
  end
  local old, new = attempt(stored), attempt(ARGV[1])
  if old > new or (old == new and string.byte(stored, 2) >= 16) or string.byte(stored, 2) == 16 then
    return 0
  end
end
if #stored == 4 and string.byte(stored, 2) == 1 then
  local names = read_watch(redis.call('GET', KEYS[1]))
  store_over_watch(KEYS[1], names, ARGV[1], ARGV[2], ARGV[3])
elseif ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
if KEYS[2] then
  redis.call('RPUSH', KEYS[2], ARGV[3] .. '\n' .. ARGV[1])
  redis.call('PEXPIRE', KEYS[2], 3600000)
end
return 1
