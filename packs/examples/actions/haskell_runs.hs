-- Run lengths: name='value' lines on standard input, a JSON object on standard output.
module Main (main) where

import Data.Char (ord)
import Data.List (group, intercalate)
import Data.Maybe (fromMaybe)
import System.IO (hSetEncoding, stdin, stdout, utf8)
import Text.Printf (printf)

main :: IO ()
main = do
  -- JSON is UTF-8 whatever the locale of the container says.
  hSetEncoding stdin utf8
  hSetEncoding stdout utf8
  parameters <- parseParameters <$> getContents
  let name = case fromMaybe "" (lookup "name" parameters) of
        "" -> "world"
        given -> given
      runs = runLengths (fromMaybe "aaabccd" (lookup "text" parameters))
  putStrLn $
    jsonObject
      [ ("greeting", jsonString ("Hello, " ++ name ++ "!")),
        ("runs", jsonArray [jsonArray [jsonString [character], show count] | (character, count) <- runs]),
        ("longest", show (maximum (0 : map snd runs)))
      ]

runLengths :: String -> [(Char, Int)]
runLengths text = [(head run, length run) | run <- group text]

-- | The parameters as pairs; each is name='value' and a line break.
parseParameters :: String -> [(String, String)]
parseParameters text = case break (== '=') (dropWhile (== '\n') text) of
  (key, '=' : '\'' : rest) ->
    let (value, others) = parseValue rest
     in (key, value) : parseParameters others
  _ -> []

-- | A value ends at the first quote that does not begin '\'' (a quote inside it) and may span lines.
parseValue :: String -> (String, String)
parseValue ('\'' : '\\' : '\'' : '\'' : rest) = prepend '\'' (parseValue rest)
parseValue ('\'' : rest) = ("", rest)
parseValue (character : rest) = prepend character (parseValue rest)
parseValue [] = ("", "")

prepend :: Char -> (String, a) -> (String, a)
prepend character (value, others) = (character : value, others)

jsonString :: String -> String
jsonString text = "\"" ++ concatMap escape text ++ "\""
  where
    escape character
      | character `elem` "\"\\" = ['\\', character]
      | character < ' ' = printf "\\u%04x" (ord character)
      | otherwise = [character]

jsonArray :: [String] -> String
jsonArray items = "[" ++ intercalate "," items ++ "]"

jsonObject :: [(String, String)] -> String
jsonObject fields = "{" ++ intercalate "," [jsonString key ++ ":" ++ value | (key, value) <- fields] ++ "}"
