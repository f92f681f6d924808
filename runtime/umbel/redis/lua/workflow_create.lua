-- Store a part of a workflow's graph; the first part says that it is there.
--
-- KEYS  1 graph, 2 states
-- ARGV  1 "1" = the first part, 2 ttl in ms, 3 ms that it is kept after its end, 4 nodes that are sent with it, 5 node numbers given,
--       6.. then fields and values
-- Returns 1, or 0 if the graph was there before: its rows are written again, what has become of it stays

local fresh = 1
if ARGV[1] == '1' then
  if redis.call('EXISTS', KEYS[1]) == 1 then
    fresh = 0
  else
    redis.call('HSET', KEYS[1], 'ttl', ARGV[2], 'keep', ARGV[3], 'nodes', ARGV[5])
    redis.call('HSET', KEYS[2], 'live', ARGV[4])
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
  end
end
for i = 6, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return fresh
