# frozen_string_literal: true

# Date arithmetic: a JSON object on standard input, a JSON object on standard output.

require "date"
require "json"

# JSON is UTF-8 whatever the locale of the container says.
$stdin.set_encoding(Encoding::UTF_8)

def start_date(text)
  text.to_s.empty? ? Date.today : Date.iso8601(text)
rescue Date::Error
  warn "invalid parameter: 'date' must be a date like 2024-02-29; it is '#{text}'"
  exit 64
end

parameters = JSON.parse($stdin.read)
name = parameters["name"].to_s
from = start_date(parameters["date"])
to = from + parameters.fetch("days", 30)

puts JSON.generate(
  greeting: "Hello, #{name.empty? ? "world" : name}!",
  from: from.iso8601,
  to: to.iso8601,
  weekday: to.strftime("%A"),
  iso_week: to.strftime("%G-W%V"),
  day_of_year: to.yday,
  leap_year: to.leap?
)
