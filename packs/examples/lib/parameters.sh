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

_newline='
'

# Reads standard input to its end and calls `parameter NAME VALUE` for each parameter.
read_parameters() {
    while IFS= read -r _rest; do
        case $_rest in
            *=\'*) ;;
            *) continue ;;
        esac
        _name=${_rest%%=*}
        _rest=${_rest#*=\'}
        _value=
        while :; do
            case $_rest in
                *\'*)
                    _value=$_value${_rest%%\'*}
                    _rest=${_rest#*\'}
                    case $_rest in
                        "\\''"*)
                            _value=$_value\'
                            _rest=${_rest#???}
                            ;;
                        *) break ;;
                    esac
                    ;;
                *)
                    _value=$_value$_rest$_newline
                    IFS= read -r _rest || reject "the value of '$_name' has no closing quote"
                    ;;
            esac
        done
        parameter "$_name" "$_value"
    done
}

# Ends the action because a parameter cannot be used: exit code 64 (EX_USAGE), the reason on standard error.
reject() {
    printf 'invalid parameter: %s\n' "$1" >&2
    exit 64
}
