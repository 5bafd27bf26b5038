(* Roman numeral: name='value' lines on standard input, a JSON object on standard output. *)

let read_all channel =
  let text = Buffer.create 4096 and chunk = Bytes.create 4096 in
  let rec next () =
    match input channel chunk 0 (Bytes.length chunk) with
    | 0 -> Buffer.contents text
    | count -> Buffer.add_subbytes text chunk 0 count; next ()
  in
  next ()

(* The value that begins at [start] of [text] and the place after its closing quote, which is the first quote that does
   not begin '\'' (a quote inside the value). *)
let parse_value text start =
  let value = Buffer.create 64 in
  let rec from start =
    let quote = String.index_from text start '\'' in
    Buffer.add_string value (String.sub text start (quote - start));
    if quote + 4 <= String.length text && String.sub text quote 4 = "'\\''" then begin
      Buffer.add_char value '\'';
      from (quote + 4)
    end
    else (Buffer.contents value, quote + 1)
  in
  from start

(* The parameters as pairs; every one is name='value' and a line break, and a value may span lines. *)
let rec parse_parameters text start =
  match String.index_from_opt text start '=' with
  | None -> []
  | Some equals ->
    let key = String.trim (String.sub text start (equals - start)) in
    let value, next = parse_value text (equals + 2) in
    (key, value) :: parse_parameters text next

let json_string text =
  let json = Buffer.create (String.length text + 2) in
  let add = function
    | ('"' | '\\') as c -> Printf.bprintf json "\\%c" c
    | '\000' .. '\031' as c -> Printf.bprintf json "\\u%04x" (Char.code c)
    | c -> Buffer.add_char json c
  in
  String.iter add text;
  Printf.sprintf "\"%s\"" (Buffer.contents json)

let symbols =
  [ (1000, "M"); (900, "CM"); (500, "D"); (400, "CD"); (100, "C"); (90, "XC"); (50, "L");
    (40, "XL"); (10, "X"); (9, "IX"); (5, "V"); (4, "IV"); (1, "I") ]

let rec numeral number = function
  | [] -> ""
  | (value, symbol) :: _ as symbols when number >= value -> symbol ^ numeral (number - value) symbols
  | _ :: smaller -> numeral number smaller

let () =
  let parameters = parse_parameters (read_all stdin) 0 in
  let parameter key default =
    match List.assoc_opt key parameters with
    | None | Some "" -> default
    | Some value -> value
  in
  let text = parameter "number" "1994" in
  match int_of_string_opt text with
  | Some number when number >= 1 && number <= 3999 ->
    Printf.printf "{\"greeting\":%s,\"number\":%d,\"numeral\":%s}\n"
      (json_string ("Hello, " ^ parameter "name" "world" ^ "!"))
      number
      (json_string (numeral number symbols))
  | _ ->
    Printf.eprintf "invalid parameter: 'number' must be from 1 to 3999; it is '%s'\n" text;
    exit 64
