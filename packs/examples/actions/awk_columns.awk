# Sum a column: name='value' lines on standard input, a JSON object on standard output.
# Runs on gawk, mawk, busybox awk and the original awk.

BEGIN {
    parameters["name"] = "world"
    parameters["table"] = "disk used\nsda 40\nsdb 2.5\n"
    parameters["column"] = 2

    # awk cannot be asked for the code of a character: the place in this text is the code.
    for (code = 1; code < 32; code++) controls = controls sprintf("%c", code)
}

{ input = input $0 "\n" }

END {
    read_parameters(input)
    if (parameters["name"] == "") parameters["name"] = "world"

    rows = split(parameters["table"], row, "\n")
    for (i = 1; i <= rows; i++) {
        split(row[i], field, " ")
        value = field[parameters["column"] + 0]
        if (value ~ /^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$/) {
            count++
            sum += value
        }
    }

    printf "{\"greeting\":%s", json_string("Hello, " parameters["name"] "!")
    printf ",\"count\":%d,\"sum\":%.15g", count, sum
    printf ",\"mean\":%s}\n", count ? sprintf("%.15g", sum / count) : "null"
}

# Fills `parameters`. A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines.
function read_parameters(text,    equals, key, value, quote) {
    while (equals = index(text, "='")) {
        key = substr(text, 1, equals - 1)
        sub(/^\n+/, "", key)
        text = substr(text, equals + 2)
        value = ""
        while ((quote = index(text, "'")) && substr(text, quote, 4) == "'\\''") {
            value = value substr(text, 1, quote)
            text = substr(text, quote + 4)
        }
        parameters[key] = value substr(text, 1, quote - 1)
        text = substr(text, quote + 1)
    }
}

function json_string(text,    json, i, character, code) {
    for (i = 1; i <= length(text); i++) {
        character = substr(text, i, 1)
        code = index(controls, character)
        if (code) {
            json = json sprintf("\\u%04x", code)
        } else if (character == "\"" || character == "\\") {
            json = json "\\" character
        } else {
            json = json character
        }
    }
    return "\"" json "\""
}
