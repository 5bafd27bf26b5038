// SHA-256 of a text: a JSON object on standard input, a JSON object on standard output.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

type parameters struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

type result struct {
	Greeting string `json:"greeting"`
	SHA256   string `json:"sha256"`
	Bytes    int    `json:"bytes"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var p parameters
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return fmt.Errorf("read parameters: %w", err)
	}
	if p.Name == "" {
		p.Name = "world"
	}
	sum := sha256.Sum256([]byte(p.Text))
	return json.NewEncoder(out).Encode(result{
		Greeting: "Hello, " + p.Name + "!",
		SHA256:   hex.EncodeToString(sum[:]),
		Bytes:    len(p.Text),
	})
}
