-- Renew the heartbeats of all owners of one supervisor, and what is known of them.
--
-- KEYS  1 heartbeats, then the registry entry of each owner
-- ARGV  for each owner: owner, state, ms that the oldest of its tasks has run (-1 = idle), how many it runs
-- Returns {now ms, owners that are gone, ...}
--
-- An owner that is not in the set was buried, or Redis was emptied: it is not entered again here, its child registers anew.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {now}
redis.call('ZREM', KEYS[1], '') -- nothing: see cycle.lua on a full Redis
for i = 2, #KEYS do
  local at = (i - 2) * 4
  local owner = ARGV[at + 1]
  if redis.call('ZSCORE', KEYS[1], owner) then
    redis.call('ZADD', KEYS[1], now, owner)
    local busy = tonumber(ARGV[at + 3])
    redis.call('HSET', KEYS[i], 'state', ARGV[at + 2], 'busy_since', busy < 0 and 0 or now - busy, 'busy', ARGV[at + 4])
  else
    answer[#answer + 1] = owner
  end
end
return answer
