# The letters of a name: parameters in dotenv format on standard input, a JSON object on standard output.

# One text as a JSON string. A list of lines is easier to keep whole than a text with line breaks.
function json_string
    set --local lines (string split \n -- "$argv[1]")
    set lines (string replace --all '\\' '\\\\' -- $lines)
    set lines (string replace --all '"' '\\"' -- $lines)
    for high in 0 1
        for low in 0 1 2 3 4 5 6 7 8 9 a b c d e f
            test $high$low = 00 -o $high$low = 0a; and continue
            set lines (string replace --all (printf "\\x$high$low") "\\u00$high$low" -- $lines)
        end
    end
    printf '"%s"' (string join '\\n' -- $lines)
end

# A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines.
read --null --local input
set --local pattern "(?m)^name='([^']*+(?:'\\\\''[^']*+)*+)'\$"
set --local quoted (string match --regex --groups-only -- $pattern "$input" | string collect)
set --local name (string replace --all "'\\''" "'" -- "$quoted" | string collect)
test -n "$name"; or set name world

set --local letters (string split '' -- "$name")
printf '{"greeting":%s,"letters":%d,"reversed":%s}\n' (json_string "Hello, $name!" | string collect) (count $letters) \
    (json_string (string join '' -- $letters[-1..1] | string collect) | string collect)
