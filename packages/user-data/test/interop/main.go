// SPDX-License-Identifier: Apache-2.0

// Reads user-data and initdata with the libraries that Go guests use, strictly, and tells what it found. One JSON document
// on stdin, one on stdout.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"os"

	"github.com/pelletier/go-toml/v2"
	yaml2 "gopkg.in/yaml.v2"
	yaml3 "gopkg.in/yaml.v3"
)

type userData struct {
	Files []struct {
		Path    string `yaml:"path" json:"path"`
		Content string `yaml:"content" json:"content"`
	} `yaml:"write_files" json:"files"`
}

type question struct {
	UserData []string `json:"userDatas"`
	Initdata []string `json:"initdata"`
	Toml     []string `json:"toml"`
}

type reading struct {
	Error     string            `json:"error"`
	Algorithm string            `json:"algorithm"`
	Entries   map[string]string `json:"entries"`
	Digest    string            `json:"digest"`
}

type answer struct {
	Yaml2    []any     `json:"yaml2"`
	Yaml3    []any     `json:"yaml3"`
	Initdata []reading `json:"initdata"`
	Packed   []string  `json:"packed"`
}

func strict2(text string) any {
	var l userData
	if err := yaml2.UnmarshalStrict([]byte(text), &l); err != nil {
		return err.Error()
	}
	return l
}

func strict3(text string) any {
	var l userData
	decoder := yaml3.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&l); err != nil {
		return err.Error()
	}
	return l
}

func read(packed string) (r reading) {
	zipped, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		return reading{Error: err.Error()}
	}
	unzip, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return reading{Error: err.Error()}
	}
	text, err := io.ReadAll(unzip)
	if err != nil {
		return reading{Error: err.Error()}
	}
	var found struct {
		Algorithm string            `toml:"algorithm"`
		Version   string            `toml:"version"`
		Data      map[string]string `toml:"data"`
	}
	if err := toml.Unmarshal(text, &found); err != nil {
		return reading{Error: err.Error()}
	}
	r = reading{Algorithm: found.Algorithm, Entries: found.Data}
	switch found.Algorithm {
	case "sha256":
		sum := sha256.Sum256(text)
		r.Digest = hex.EncodeToString(sum[:])
	case "sha384":
		sum := sha512.Sum384(text)
		r.Digest = hex.EncodeToString(sum[:])
	case "sha512":
		sum := sha512.Sum512(text)
		r.Digest = hex.EncodeToString(sum[:])
	}
	return r
}

func pack(text string) string {
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write([]byte(text)); err != nil {
		log.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		log.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(zipped.Bytes())
}

func main() {
	var q question
	if err := json.NewDecoder(os.Stdin).Decode(&q); err != nil {
		log.Fatal(err)
	}
	var a answer
	for _, text := range q.UserData {
		a.Yaml2 = append(a.Yaml2, strict2(text))
		a.Yaml3 = append(a.Yaml3, strict3(text))
	}
	for _, packed := range q.Initdata {
		a.Initdata = append(a.Initdata, read(packed))
	}
	for _, text := range q.Toml {
		a.Packed = append(a.Packed, pack(text))
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		log.Fatal(err)
	}
}
