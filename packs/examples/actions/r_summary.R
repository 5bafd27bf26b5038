# Summary of numbers: name='value' lines on standard input, a JSON object on standard output.

# A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines.
read_parameters <- function() {
  connection <- file("stdin", "rb")
  on.exit(close(connection))
  bytes <- raw()
  while (length(chunk <- readBin(connection, "raw", 65536)) > 0) {
    bytes <- c(bytes, chunk)
  }
  input <- rawToChar(bytes)
  Encoding(input) <- "UTF-8"
  pattern <- "(?m)^[^=\n]+='[^']*+(?:'\\\\''[^']*+)*+'$"
  pairs <- regmatches(input, gregexpr(pattern, input, perl = TRUE))[[1]]
  names <- sub("(?s)=.*", "", pairs, perl = TRUE)
  values <- substring(pairs, nchar(names) + 3, nchar(pairs) - 1)
  setNames(as.list(gsub("'\\''", "'", values, fixed = TRUE)), names)
}

json_string <- function(text) {
  text <- gsub("([\"\\\\])", "\\\\\\1", text)
  for (code in 1:31) {
    text <- gsub(intToUtf8(code), sprintf("\\u%04x", code), text, fixed = TRUE)
  }
  paste0("\"", text, "\"")
}

# Numbers as JSON, 15 significant digits; what JSON has no number for becomes null.
json_numbers <- function(numbers) {
  ifelse(is.finite(numbers), sprintf("%.15g", numbers), "null")
}

parameters <- modifyList(list(name = "world", numbers = "[3,1,4,1,5,9,2,6]"), read_parameters())
name <- if (nzchar(parameters$name)) parameters$name else "world"

# A list arrives as the text of a JSON array; that of numbers has no more to it than brackets and commas.
fields <- strsplit(gsub("[][[:space:]]", "", parameters$numbers), ",", fixed = TRUE)[[1]]
numbers <- suppressWarnings(as.numeric(fields))
if (length(numbers) == 0 || anyNA(numbers)) {
  message("invalid parameter: 'numbers' must be a list of numbers; it is '", parameters$numbers, "'")
  quit(status = 64)
}

json <- sprintf(
  "{\"greeting\":%s,\"count\":%d,\"mean\":%s,\"sd\":%s,\"quartiles\":[%s]}",
  json_string(paste0("Hello, ", name, "!")),
  length(numbers),
  json_numbers(mean(numbers)),
  json_numbers(sd(numbers)),
  paste(json_numbers(fivenum(numbers)), collapse = ",")
)
# As UTF-8, whatever the locale of the container says.
writeLines(enc2utf8(json), useBytes = TRUE)
