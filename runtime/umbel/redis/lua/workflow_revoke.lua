-- Let nothing of a workflow follow any more. It is closed by nobody before those who wait were told (workflow_close).
--
-- KEYS  1 graph, 2 states
-- ARGV  none
-- Returns {its exits that have not ended: first, last, ...}, or nil if it is gone

local call = redis.call
local exits = call('HGET', KEYS[1], 'exits')
if not exits or call('HEXISTS', KEYS[2], 'closed') == 1 or call('HEXISTS', KEYS[2], 'live') == 0 then
  return nil
end
if call('HSETNX', KEYS[2], 'revoked', '1') == 1 then
  call('HSET', KEYS[2], 'tr', '1')
  call('HINCRBY', KEYS[2], 'live', 1)
end
local left = {}
for from, to in string.gmatch(exits, 'x(%d+)%-?(%d*)') do
  from = tonumber(from)
  to = tonumber(to) or from
  if from ~= to or call('HEXISTS', KEYS[2], 'e' .. from) == 0 then
    left[#left + 1], left[#left + 2] = from, to
  end
end
return left
