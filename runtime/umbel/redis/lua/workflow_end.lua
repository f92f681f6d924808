-- Note the end of a node of a workflow and say what follows. The first end counts; whoever repeats this gets the same answer,
-- without what has ended by then.
--
-- KEYS  1 graph, 2 states, 3 values
-- ARGV  1 node, 2 how it ended (S, F, R, I), 3 when and how long (for who looks), 4 its value, or what is to be known of its failure,
--       5 join and 6 place of a member without a row; "" else
-- Returns {"gone"}, or {how it ended, value, over (0/1), ttl in ms, due: first, last, how, ..., told: first, last, through a join (0/1), ...,
--         queues that have a guard of it, one a line, if it was closed here}
--
-- "live" counts the nodes that were sent and have not ended: when it is 0, nothing can follow any more. What is due is counted in
-- the step that makes it due, before it is published, and so is a failure until those who wait were told of it (workflow_close); so
-- a workflow whose step died half-way never looks as if it were over.

local call = redis.call
local GRAPH, STATES, VALUES = KEYS[1], KEYS[2], KEYS[3]
local node, kind, value = ARGV[1], ARGV[2], ARGV[4]

local about = call('HMGET', GRAPH, 'ttl', 'keep')
local standing = call('HMGET', STATES, 'live', 'closed', 'revoked', 'e' .. node)
if not about[1] or not standing[1] or standing[2] then
  return {'gone'}
end
local ttl, revoked, old = about[1], standing[3], standing[4]
local live = tonumber(standing[1])

local outs, fail, errbacks, drop = '', '', '', ''
if ARGV[5] ~= '' then
  outs = 'j' .. ARGV[5] .. ':' .. ARGV[6]
  if not old and call('HEXISTS', VALUES, ARGV[5] .. ':' .. ARGV[6]) == 1 then
    old = 'S'
  end
else
  local row = call('HGET', GRAPH, node)
  if not row then
    return {'gone'}
  end
  outs, fail, errbacks, drop = string.match(row, '^([^|\n]*)|([^|\n]*)|([^|\n]*)|([^|\n]*)\n')
end
local first = not old
if old then
  kind = string.sub(old, 1, 1)
end

local due, told, fresh = {}, {}, 0

-- Let nodes have their turn; one that has ended had it.
local function add(from, to, how, is_new)
  if from == to and call('HEXISTS', STATES, 'e' .. from) == 1 then
    return
  end
  due[#due + 1], due[#due + 2], due[#due + 3] = from, to, how
  if is_new then
    fresh = fresh + to - from + 1
  end
end

local function add_all(targets, how, is_new)
  for from, to in string.gmatch(targets, 'n(%d+)%-?(%d*)') do
    from = tonumber(from)
    add(from, tonumber(to) or from, how, is_new)
  end
end

-- Put the value into a place of a join; when that was the last one, its targets have their turn.
local function fill(join, place)
  if call('HEXISTS', STATES, 'd' .. join) == 1 then
    return false
  end
  local set = call('HSETNX', VALUES, join .. ':' .. place, value) == 1
  local count
  if set then
    count = call('HINCRBY', STATES, 'c' .. join, 1)
  else
    count = tonumber(call('HGET', STATES, 'c' .. join) or '0')
  end
  local size, targets = string.match(call('HGET', GRAPH, 'j' .. join), '^(%d+)|([^|]*)|')
  if not revoked and count >= tonumber(size) + tonumber(call('HGET', STATES, 'g' .. join) or '0') then
    add_all(targets, 'j', set)
  end
  return true
end

-- Spread a failure: exits are told, joins that wait fail with it.
local spread
local function fail_join(join, is_new)
  local killer = call('HGET', STATES, 'd' .. join)
  if killer and killer ~= node then
    return
  end
  if not killer then
    call('HSET', STATES, 'd' .. join, node)
  end
  local targets, pairs = string.match(call('HGET', GRAPH, 'j' .. join), '^%d+|[^|]*|([^|]*)|(.*)$')
  for errback, body in string.gmatch(pairs, '(%d+)@(%d+)') do
    add(tonumber(errback), tonumber(errback), 'e' .. body, is_new)
  end
  spread(targets, 1, is_new)
end

spread = function(number, through, is_new)
  local targets = number ~= '' and call('HGET', GRAPH, 'f' .. number) or ''
  for from, to in string.gmatch(targets, 'x(%d+)%-?(%d*)') do
    if from ~= node then
      told[#told + 1], told[#told + 2], told[#told + 3] = tonumber(from), tonumber(to) or tonumber(from), through
    end
  end
  for join in string.gmatch(targets, 'j(%d+)') do
    fail_join(join, is_new)
  end
end

if kind == 'S' then
  local kept = ARGV[5] == ''
  for join, place in string.gmatch(outs, 'j(%d+):(%d+)') do
    kept = not fill(join, place) or kept
  end
  if not revoked then
    add_all(outs, 'v', first)
  end
  if first and kept then
    call('HSET', STATES, 'e' .. node, 'S' .. ARGV[3])
  end
  if string.find(outs, 'n', 1, true) then
    if first then
      call('HSETNX', VALUES, 'n' .. node, value)
    else
      value = call('HGET', VALUES, 'n' .. node) or ''
    end
  end
else
  if first then
    call('HSET', STATES, 'e' .. node, kind .. ARGV[3])
    call('HSET', VALUES, 'e' .. node, value)
  else
    value = call('HGET', VALUES, 'e' .. node) or value
  end
  if not revoked then
    if kind == 'F' then
      for errback in string.gmatch(errbacks, '%d+') do
        add(tonumber(errback), tonumber(errback), 'e', first)
      end
    end
    if ARGV[5] ~= '' then
      fail_join(ARGV[5], first)
    else
      spread(fail, 0, first)
    end
  end
end
if drop ~= '' then
  call('HDEL', VALUES, 'n' .. drop)
end

if first then
  local hold = 0
  if #told > 0 then
    -- Nobody may close the workflow, the graph of which it takes to tell them, before they were told.
    hold = call('HSETNX', STATES, 't' .. node, '1')
  end
  live = call('HINCRBY', STATES, 'live', fresh - 1 + hold)
end
for i = 1, 3 do
  call('PEXPIRE', KEYS[i], ttl)
end
local over, queues = live <= 0 and 1 or 0, nil
if over == 1 and #told == 0 and #due == 0 then
  -- include close_workflow
end
return {kind, value, over, tonumber(ttl), due, told, queues}
