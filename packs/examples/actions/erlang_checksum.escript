#!/usr/bin/env escript
%% Checksums of a text: name='value' lines on standard input, a JSON object on standard output.

main(_Arguments) ->
    %% JSON is UTF-8 whatever the locale of the container says.
    ok = io:setopts(standard_io, [binary, {encoding, unicode}]),
    Parameters = parse_parameters(read_all(<<>>), #{}),
    Text = maps:get(<<"text">>, Parameters, <<>>),
    io:put_chars([
        <<"{\"greeting\":">>, json_string([<<"Hello, ">>, name(Parameters), <<"!">>]),
        <<",\"crc32\":">>, json_string(hexadecimal(erlang:crc32(Text))),
        <<",\"adler32\":">>, json_string(hexadecimal(erlang:adler32(Text))),
        <<",\"base64\":">>, json_string(base64:encode(Text)),
        <<"}\n">>
    ]).

name(#{<<"name">> := Name}) when Name =/= <<>> -> Name;
name(_Parameters) -> <<"world">>.

hexadecimal(Number) ->
    io_lib:format("~8.16.0b", [Number]).

read_all(Read) ->
    case io:get_line(standard_io, "") of
        eof -> Read;
        Line when is_binary(Line) -> read_all(<<Read/binary, Line/binary>>)
    end.

%% Each parameter is name='value' and a line break; the text ends with an empty line.
parse_parameters(Text, Found) ->
    case binary:split(Text, <<"='">>) of
        [Key, Rest] ->
            {Value, Others} = parse_value(Rest, <<>>),
            parse_parameters(Others, Found#{string:trim(Key) => Value});
        [_Blank] ->
            Found
    end.

%% A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines.
parse_value(<<"'\\''", Rest/binary>>, Value) -> parse_value(Rest, <<Value/binary, "'">>);
parse_value(<<"'", Rest/binary>>, Value) -> {Value, Rest};
parse_value(<<Byte, Rest/binary>>, Value) -> parse_value(Rest, <<Value/binary, Byte>>).

json_string(Text) ->
    [$", << <<(escape(Byte))/binary>> || <<Byte>> <= iolist_to_binary(Text) >>, $"].

escape(Byte) when Byte =:= $"; Byte =:= $\\ -> <<$\\, Byte>>;
escape(Byte) when Byte < $\s -> iolist_to_binary(io_lib:format("\\u~4.16.0b", [Byte]));
escape(Byte) -> <<Byte>>.
