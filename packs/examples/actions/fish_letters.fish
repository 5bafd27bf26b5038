# The letters of a name: parameters in dotenv format on standard input, a JSON object on standard output.

# One text as a JSON string.
function json_string
    set -l text (string replace --all '\\' '\\\\' -- "$argv[1]" | string collect)
    set text (string replace --all '"' '\\"' -- "$text" | string collect)
    set text (string replace --all \t '\\t' -- "$text" | string collect)
    printf '"%s"' (string join '\\n' -- (string split \n -- "$text"))
end

# There is one parameter, so what stands between the first quote and the last is its value; a quote in it is '\''.
read --null --local input
set --local quoted (string match --regex --groups-only '(?s)^name=\'(.*)\'\n*$' -- "$input" | string collect)
set --local name (string replace --all "'\\''" "'" -- "$quoted" | string collect)
test -n "$name"; or set name world

set --local letters (string split '' -- "$name")
printf '{"greeting": %s, "letters": %d, "reversed": %s}\n' (json_string "Hello, $name!" | string collect) (count $letters) \
    (json_string (string join '' -- $letters[-1..1] | string collect) | string collect)
