// Command cron answers when cron expressions are due, as the libraries say that tools run them with.
//
// It reads one question a line, and writes one answer a line:
//
//	{"dialect":"robfig","expression":"0 1 * * *","zone":"UTC","after":"2026-06-01T00:00:00Z","count":2}
//	{"times":["2026-06-01T01:00:00Z","2026-06-02T01:00:00Z"]}
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
	_ "time/tzdata" // The same rules wherever this runs.

	netresearch "github.com/netresearch/go-cron"
	seconds "github.com/robfig/cron"
	robfig "github.com/robfig/cron/v3"
)

type question struct {
	Dialect    string    `json:"dialect"`
	Expression string    `json:"expression"`
	Zone       string    `json:"zone"`
	After      time.Time `json:"after"`
	Count      int       `json:"count"`
}

type answer struct {
	Error string      `json:"error,omitempty"`
	Times []time.Time `json:"times"`
}

type schedule interface {
	Next(time.Time) time.Time
}

func parse(dialect, expression string) (found schedule, err error) {
	// Some of them panic on what they can't read.
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("%v", panicked)
		}
	}()
	switch dialect {
	case "robfig":
		return robfig.ParseStandard(expression)
	case "netresearch":
		return netresearch.ParseStandard(expression)
	case "seconds":
		return seconds.Parse(expression)
	}
	return nil, errors.New("unknown dialect")
}

func ask(q question) answer {
	zone, err := time.LoadLocation(q.Zone)
	if err != nil {
		return answer{Error: err.Error()}
	}
	found, err := parse(q.Dialect, q.Expression)
	if err != nil {
		return answer{Error: err.Error()}
	}
	times := []time.Time{}
	at := q.After.In(zone)
	for len(times) < q.Count {
		at = found.Next(at)
		if at.IsZero() {
			break
		}
		times = append(times, at.UTC())
	}
	return answer{Times: times}
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var q question
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := out.Encode(ask(q)); err != nil {
			os.Exit(1)
		}
	}
}
