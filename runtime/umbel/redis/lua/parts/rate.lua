-- The queue's rate limit (GCRA). The field "rate" of meta is "tasks period burst", the period in seconds; "rate_at" is when the
-- next task would start if all kept their distance: it runs ahead of the clock by `burst` distances at most. In microseconds.
local tasks, period, burst = string.match(settings[7], '^(%S+) (%S+) (%S+)$')
local distance = tonumber(period) * 1000000 / tonumber(tasks)
local most = tonumber(burst) * distance
local clock = time[1] * 1000000 + time[2]
local at = tonumber(redis.call('HGET', meta, 'rate_at') or '0')
if at > clock + most + distance then
  redis.call('HDEL', meta, 'rate_at') -- the limit was changed, or the clock jumped: begin afresh
  at = 0
end
at = math.max(at - unstarted * distance, clock) -- what was given back unstarted does not count
rate = {free = math.floor((clock + most - at) / distance + 0.001)}

function rate.spend(taken)
  at = at + taken * distance
  redis.call('HSET', meta, 'rate_at', string.format('%.0f', at))
end

-- Return ms until the next message may start. One owner watches for that moment; the others look a second later, in case that it
-- is busy then, or dead. Otherwise all who are idle would look for each single message. Who took something is about to be busy,
-- and has somebody idle look in its place.
function rate.watch(taken)
  local start = at + distance - most
  local pause = math.max(1, math.ceil((start - clock) / 1000))
  if taken > 0 or ARGV[1] == '0' then
    redis.call('ZADD', bell, 0, '1')
    return pause
  end
  local before, who = string.match(redis.call('HGET', meta, 'rate_watch') or '', '^(%d+) (.*)$')
  if who and who ~= owned and tonumber(before) > clock then
    return pause + 1000
  end
  redis.call('HDEL', meta, 'rate_watch')
  redis.call('HSET', meta, 'rate_watch', string.format('%.0f %s', start, owned))
  return pause
end
