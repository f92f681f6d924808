-- Append events to the log of a deployment, and drop what is too old or too much.
--
-- KEYS  1 stream of events
-- ARGV  1 how many events to keep, about, 2 for how long, in ms, 3.. events
-- Returns how many there are

for index = 3, #ARGV do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'e', ARGV[index])
end
local now = redis.call('TIME')
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f', now[1] * 1000 - ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('XLEN', KEYS[1])
