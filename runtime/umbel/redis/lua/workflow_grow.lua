-- Add a place to a join that still waits, and a node to fill it.
--
-- KEYS  1 graph, 2 states
-- ARGV  1 join, 2 token of this addition: the same one gets the same place
-- Returns {node, place}, or {} if the join waits for nothing any more

local call = redis.call
local join = ARGV[1]
local row = call('HGET', KEYS[1], 'j' .. join)
if not row then
  return {}
end
local known = call('HGET', KEYS[2], 'a' .. ARGV[2])
if known then
  local node, place = string.match(known, '(%d+):(%d+)')
  return {tonumber(node), tonumber(place)}
end
local size = tonumber(string.match(row, '^(%d+)|'))
local standing = call('HMGET', KEYS[2], 'live', 'closed', 'revoked', 'd' .. join, 'c' .. join, 'g' .. join)
local grown = tonumber(standing[6] or '0')
if not standing[1] or standing[2] or standing[3] or standing[4] or tonumber(standing[5] or '0') >= size + grown then
  return {}
end
call('HINCRBY', KEYS[2], 'g' .. join, 1)
call('HINCRBY', KEYS[2], 'live', 1)
local node = call('HINCRBY', KEYS[1], 'nodes', 1) - 1
call('HSET', KEYS[2], 'a' .. ARGV[2], node .. ':' .. (size + grown))
return {node, size + grown}
