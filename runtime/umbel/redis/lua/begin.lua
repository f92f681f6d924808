-- Mark a message that its living owner holds: it runs now, and never again (at most once).
--
-- KEYS  1 owned
-- ARGV  1 tag, 2 flag
-- Returns 1 = marked, now or by an earlier call; 0 = the owner does not hold it any more; -1 = the owner is fenced off

if redis.call('HEXISTS', KEYS[1], '@') == 0 then
  return -1
end
local message = redis.call('HGET', KEYS[1], ARGV[1])
if not message then
  return 0
end
local flags = bit.bor(string.byte(message, 2), tonumber(ARGV[2]))
redis.call('HDEL', KEYS[1], '') -- nothing: see cycle.lua on a full Redis
redis.call('HSET', KEYS[1], ARGV[1], string.sub(message, 1, 1) .. string.char(flags) .. string.sub(message, 3))
return 1
