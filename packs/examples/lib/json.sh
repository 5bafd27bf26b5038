# JSON output, for POSIX shells. Sourced, not run. Needs parameters.sh, whose line break it uses.

# What a JSON string may not hold as it is: the quote, the backslash and the control characters.
_special=\"\\$_newline$(
    printf '\001\002\003\004\005\006\007\010\011\013\014\015\016\017'
    printf '\020\021\022\023\024\025\026\027\030\031\032\033\034\035\036\037'
)

# json_string TEXT: prints TEXT as a JSON string.
json_string() {
    _rest=$1
    printf '"'
    while :; do
        _plain=${_rest%%["$_special"]*}
        printf '%s' "$_plain"
        [ "$_plain" != "$_rest" ] || break
        _rest=${_rest#"$_plain"}
        _character=${_rest%"${_rest#?}"}
        _rest=${_rest#?}
        case $_character in
            \" | \\) printf '\\%s' "$_character" ;;
            "$_newline") printf '\\n' ;;
            *) printf '\\u%04x' "'$_character" ;;
        esac
    done
    printf '"'
}

# json_number TEXT: prints TEXT if it is a decimal number, otherwise null.
json_number() {
    case $1 in
        '' | .* | *. | *.*.* | *[!0-9.]*) printf 'null' ;;
        *) printf '%s' "$1" ;;
    esac
}
