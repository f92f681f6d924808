-- Mark a message that a dead owner holds: it does not run again, whoever takes it next tells its end.
--
-- KEYS  1 owned
-- ARGV  1 tag, 2 flag
-- Returns 1 = marked, 0 = the owner does not hold it any more

local message = redis.call('HGET', KEYS[1], ARGV[1])
if not message or #message < 29 then
  return 0
end
local flags = bit.bor(string.byte(message, 2), tonumber(ARGV[2]))
redis.call('HDEL', KEYS[1], '') -- nothing: see cycle.lua on a full Redis
redis.call('HSET', KEYS[1], ARGV[1], string.sub(message, 1, 1) .. string.char(flags) .. string.sub(message, 3))
return 1
