-- Note a run with its schedule, before it is enqueued: so an end that comes quickly finds it.
--
-- KEYS  1 state, 2 runs, 3 ended
-- ARGV  1 run id, 2 what to note, 3 concurrency policy, 4 counts for max runs (0/1), 5 max runs or "",
--       6 max consecutive failures or "", 7 ttl in ms
-- Returns {"ended"}      it ran already
--         {"noted"}      it was noted before (by a beat that died, or before an answer was lost)
--         {"stopped", r} the schedule stops for reason r
--         {"forbidden"}  another run has not ended
--         {"begun", run ids that have not ended, ...}   the ids for the policy Replace only
--
-- Of a schedule that nobody works off there may be any number of runs: they are listed only where they are needed, and never
-- through the stack, which holds 8,000.

if redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  return {'ended'}
end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
  return {'noted'}
end
local counts = redis.call('HMGET', KEYS[1], 'started', 'failures')
if ARGV[4] == '1' then
  if ARGV[5] ~= '' and tonumber(counts[1] or '0') >= tonumber(ARGV[5]) then
    redis.call('HSET', KEYS[1], 'stopped', 'MaxRuns')
    return {'stopped', 'MaxRuns'}
  end
  if ARGV[6] ~= '' and tonumber(counts[2] or '0') >= tonumber(ARGV[6]) then
    redis.call('HSET', KEYS[1], 'stopped', 'MaxConsecutiveFailures')
    return {'stopped', 'MaxConsecutiveFailures'}
  end
end
if ARGV[3] == 'Forbid' and redis.call('HLEN', KEYS[2]) > 0 then
  return {'forbidden'}
end
local answer = ARGV[3] == 'Replace' and redis.call('HKEYS', KEYS[2]) or {}
table.insert(answer, 1, 'begun')
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
if ARGV[4] == '1' then
  redis.call('HINCRBY', KEYS[1], 'started', 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
end
return answer
