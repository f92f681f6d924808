-- Note since when own queues have nobody who consumes them, and tell which have had nobody for long.
--
-- KEYS  1 own queue -> since when (ms)
-- ARGV  1 ms without a worker after which a queue is to end, 2 ms that this is kept, 3 number of queues that are consumed,
--       then these, then those that nobody consumes
-- Returns the names of those whose time is over
--
-- The key lives only while somebody looks: after a time in which nobody did, no worker could be seen to come back, so all begin
-- anew. A clock that jumps ends the key, or is put right here.

local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local consumed = tonumber(ARGV[3])
local over = {}
for i = 4, 3 + consumed do
  call('ZREM', KEYS[1], ARGV[i])
end
for i = 4 + consumed, #ARGV do
  local since = tonumber(call('ZSCORE', KEYS[1], ARGV[i]) or '')
  if not since or since > now then
    call('ZADD', KEYS[1], now, ARGV[i])
  elseif now - since >= tonumber(ARGV[1]) then
    over[#over + 1] = ARGV[i]
  end
end
call('PEXPIRE', KEYS[1], ARGV[2])
return over
