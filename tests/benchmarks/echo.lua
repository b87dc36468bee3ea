-- What wrk sends, and what must come back: every answer is compared, status and body.
-- Arguments: a file of targets (a line each: host, tab, path), the body to send, the body to get.

local threads = {}
local targets = {}
local expected
local turn = 0
wrong = 0
example = ""

local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end

local function format(target)
  local host, path = target:match("^(.-)\t(.*)$")
  wrk.headers["Host"] = host
  return wrk.format("POST", path)
end

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  wrk.body = read(args[2])
  expected = read(args[3])
  for line in io.lines(args[1]) do
    table.insert(targets, format(line))
  end
end

function request()
  turn = turn % #targets + 1
  return targets[turn]
end

function response(status, headers, body)
  if status ~= 200 or body ~= expected then
    wrong = wrong + 1
    if example == "" then
      example = status .. " " .. body:sub(1, 200)
    end
  end
end

-- One line, told by its first word: all that is measured, times in microseconds.
function done(summary, latency, requests)
  local failed = 0
  for _, thread in ipairs(threads) do
    failed = failed + thread:get("wrong")
    if example == "" then
      example = thread:get("example")
    end
  end
  local errors = summary.errors
  io.write(string.format(
    "measured\t%d\t%d\t%d\t%d\t%d\t%d\t%q\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    failed, errors.connect + errors.read + errors.write + errors.timeout, example))
end
