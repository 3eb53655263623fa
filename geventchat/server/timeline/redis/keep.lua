#!lua
-- Writes records, all or none. ARGV: node, life, number, msgpack of [kind, id, value|false]..., the
-- last entry of the feed that the node had heard when it encoded them.
-- Gives 1 and the id of the feed's entry that tells of it. A number that is not above the node's
-- last is a copy that was late, or asked for again: it changes nothing, and is answered the same.
-- Gives 0 and the entry to be heard first if another node has written one of the records since:
-- then nothing is written.
-- include fence.lua
local MOST = 200  -- writes that are remembered, to find those that a node has not heard
local node, life, number, packed, heard = unpack(ARGV)
fence(node, life)
local place = node .. '/keep'
local former = redis.call('HGET', '{gc}:nodes', place)
local last, entry = string.match(former or '', '^(%d+) (.*)$')
if last and tonumber(number) <= tonumber(last) then
  return {1, entry}
end
if redis.call('TYPE', '{gc}:feed').ok ~= 'stream' then  -- then a new life has to begin
  return redis.error_reply('FENCED the feed is missing')
end
local records, names, own = cmsgpack.unpack(packed), {}, {}
for i, record in ipairs(records) do
  redis.call('HLEN', '{gc}:records:' .. record[1])  -- a key of another type fails here, before all
  names[i] = record[1] .. '/' .. record[2]
  own[names[i]] = true
end

-- Whether another node has written one of them, or may have, after what was heard.
local function behind()
  local later = redis.call('XRANGE', '{gc}:kept', '(' .. heard, '+')
  if #later == MOST then
    return true  -- there may have been more
  end
  for _, kept in ipairs(later) do
    local fields = kept[2]
    if fields[2] ~= node then
      for _, name in ipairs(cmsgpack.unpack(fields[4])) do
        if own[name] then
          return true
        end
      end
    end
  end
  return false
end
if behind() then
  return {0, redis.call('XREVRANGE', '{gc}:kept', '+', '-', 'COUNT', 1)[1][1]}
end

entry = redis.call('XADD', '{gc}:feed', life .. '-*', 'k', packed, 'n', node, 't', number)
redis.call('XADD', '{gc}:kept', 'MAXLEN', MOST, entry, 'n', node, 'k', cmsgpack.pack(names))
for _, record in ipairs(records) do
  local kind, id, value = unpack(record)
  if value then
    redis.call('HSET', '{gc}:records:' .. kind, id, value)
  else
    redis.call('HDEL', '{gc}:records:' .. kind, id)
  end
end
redis.call('HSET', '{gc}:nodes', place, number .. ' ' .. entry)
return {1, entry}
