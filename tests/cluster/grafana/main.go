// Reads Grafana dashboards as strictly as Grafana's own types allow: what these don't know, or lack, is an error.
//
//	dashboards FILE...
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	wrong := false
	for _, file := range os.Args[1:] {
		// Both return a list of errors, which may be empty.
		if err := check(file); err != nil && err.Error() != "" {
			fmt.Printf("%s: %v\n", file, err)
			wrong = true
		}
	}
	if wrong {
		os.Exit(1)
	}
}

func check(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var read dashboard.Dashboard
	if err := read.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err
	}
	return read.Validate()
}
