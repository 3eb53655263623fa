#!lua flags=allow-oom
-- Asks for the right to decide. ARGV: node, life, the number of the ask.
-- Gives 1 if the node has it, 0 if it has to wait, until the feed tells or it asks again; whether
-- others wait (1); and the entry that tells of the last records that were written.
-- include fence.lua
-- include right.lua
local node, life, number = unpack(ARGV)
fence(node, life)
local ask, given_back = ask_of(node, life, number)
if tonumber(number) <= given_back then
  return redis.error_reply('STALE that was given back')
end
local last = redis.call('XREVRANGE', '{gc}:kept', '+', '-', 'COUNT', 1)[1]
local asked = asks(life)
local known = false
for _, each in ipairs(asked) do
  known = known or each == ask
end
if not known then
  if #asked == 1 then  -- who has it does not know yet that anybody waits
    redis.call('XADD', '{gc}:feed', life .. '-*', 'q', asked[1])
  end
  redis.call('RPUSH', '{gc}:deciding', ask)
  asked[#asked + 1] = ask
end
return {asked[1] == ask and 1 or 0, #asked > 1 and 1 or 0, last and last[1] or '0-0'}
