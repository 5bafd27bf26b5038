-- Edit distance: name='value' lines on standard input, a JSON object on standard output.
-- Runs on Lua 5.1 to 5.4 and on LuaJIT.

-- A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines.
local function read_parameters(input)
  local parameters = {}
  local position = 1
  while true do
    local _, opening, key = input:find("([^=\n]+)='", position)
    if not opening then
      return parameters
    end
    local parts = {}
    local start = opening + 1
    local closing = assert(input:find("'", start, true), "a value has no closing quote")
    while input:sub(closing, closing + 3) == "'\\''" do
      parts[#parts + 1] = input:sub(start, closing - 1) .. "'"
      start = closing + 4
      closing = assert(input:find("'", start, true), "a value has no closing quote")
    end
    parts[#parts + 1] = input:sub(start, closing - 1)
    parameters[key] = table.concat(parts)
    position = closing + 1
  end
end

local function json_string(text)
  return '"' .. text:gsub('[%c"\\]', function(character)
    return ("\\u%04x"):format(character:byte())
  end) .. '"'
end

-- The characters of a UTF-8 text: a byte that begins one, and the continuation bytes after it.
local function characters(text)
  local list = {}
  for character in text:gmatch("[^\128-\191][\128-\191]*") do
    list[#list + 1] = character
  end
  return list
end

-- Levenshtein's distance, keeping only the row above the one being filled.
local function distance(from, to)
  local above = {}
  for column = 0, #to do
    above[column] = column
  end
  for row = 1, #from do
    local current = { [0] = row }
    for column = 1, #to do
      local replacement = above[column - 1] + (from[row] == to[column] and 0 or 1)
      current[column] = math.min(above[column] + 1, current[column - 1] + 1, replacement)
    end
    above = current
  end
  return above[#to]
end

local parameters = read_parameters(io.read("*a"))
local name = parameters.name ~= "" and parameters.name or "world"
local from = characters(parameters.from or "kitten")
local to = characters(parameters.to or "sitting")
local steps = distance(from, to)
local longest = math.max(#from, #to, 1)

print(('{"greeting":%s,"distance":%d,"similarity":%.3f}'):format(
  json_string("Hello, " .. name .. "!"),
  steps,
  1 - steps / longest
))
