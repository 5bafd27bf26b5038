# Fit a line: name='value' lines on standard input, a JSON object on standard output.

using LinearAlgebra

# A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines.
const PARAMETER = r"^([^=\n]+)='([^']*+(?:'\\''[^']*+)*+)'$"m

function read_parameters(io)
    Dict(String(m[1]) => replace(m[2], "'\\''" => "'") for m in eachmatch(PARAMETER, read(io, String)))
end

function json_string(text)
    escape(c) = c in ('"', '\\') ? "\\$c" : c < ' ' ? "\\u" * string(UInt8(c), base = 16, pad = 4) : string(c)
    return "\"" * join(escape(c) for c in text) * "\""
end

# A list arrives as the text of a JSON array; that of numbers has no more to it than brackets and commas.
function parse_numbers(text)
    return [tryparse(Float64, strip(field)) for field in split(strip(text, ['[', ']', ' ']), ",")]
end

function main()
    parameters = read_parameters(stdin)
    name = get(parameters, "name", "")
    text = get(parameters, "values", "[1.0,2.9,5.1,7.0]")
    values = parse_numbers(text)
    if length(values) < 2 || any(isnothing, values)
        println(stderr, "invalid parameter: 'values' must be a list of at least two numbers; it is '$text'")
        exit(64)
    end

    positions = 0:(length(values) - 1)
    intercept, slope = hcat(ones(length(values)), positions) \ Float64.(values)
    print("{\"greeting\":", json_string("Hello, $(isempty(name) ? "world" : name)!"))
    println(",\"intercept\":", intercept, ",\"slope\":", slope, "}")
end

main()
