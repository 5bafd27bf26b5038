# Parameters in dotenv format, for POSIX shells. Sourced, not run.
#
#     . "${0%/*}/../lib/parameters.sh"
#
#     parameter() {
#         case $1 in
#             message) message=$2 ;;
#         esac
#     }
#     read_parameters
#
# The worker writes one name='value' per parameter. A quote inside a value is written '\'' and a line break as it is, so
# a value ends at the first quote that does not begin '\'' and may span lines. Each pair is handed to `parameter`;
# nothing is ever evaluated, so neither a name nor a value can run as code.

# Without this, zsh does not split words.
[ -z "${ZSH_VERSION-}" ] || emulate sh

_newline='
'

# Reads standard input to its end and calls `parameter NAME VALUE` for each parameter.
#
# Each line is split at its quotes, which takes time in proportion to its length; cutting pieces off its front would
# take that squared. name='it'\''s' has the fields [name=] [it] [\] [] [s] [.], where the dot is ours: it keeps the
# field after the last quote, which some shells would leave out.
read_parameters() {
    _state=name
    while IFS= read -r _line; do
        _separators=$IFS
        IFS=\'
        set -f
        for _field in $_line.; do
            case $_state in
                name) _name=${_field%=} _value='' _state=value ;;
                value) _value=$_value$_field _state=quote ;;
                quote) if [ "$_field" = \\ ]; then _state=escape; else _state=end; fi ;;
                escape) _value=$_value\' _state=value ;;
            esac
        done
        set +f
        IFS=$_separators

        case $_state in
            value) _state=name ;; # a line without a quote, such as the one that stands for no parameters at all
            quote) _value=${_value%.}$_newline _state=value ;;
            end)
                parameter "$_name" "$_value"
                _state=name
                ;;
        esac
    done
    [ "$_state" = name ] || reject "the value of '$_name' has no closing quote"
}

# Ends the action because a parameter cannot be used: exit code 64 (EX_USAGE), the reason on standard error.
reject() {
    printf 'invalid parameter: %s\n' "$1" >&2
    exit 64
}
