// Answers which connections network policies allow, by the simulator of cyclonus.
//
// It reads JSON documents {"policies": [...], "connections": [...]} and prints for each a line with
// a JSON array of booleans, one for each connection.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

type question struct {
	Policies    []*networkingv1.NetworkPolicy `json:"policies"`
	Connections []connection                  `json:"connections"`
}

type connection struct {
	Source      end             `json:"source"`
	Destination end             `json:"destination"`
	Port        int             `json:"port"`
	PortName    string          `json:"portName"`
	Protocol    corev1.Protocol `json:"protocol"`
}

// One end of a connection; outside of the cluster where there is no namespace.
type end struct {
	Address         string            `json:"address"`
	Namespace       string            `json:"namespace"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	Labels          map[string]string `json:"labels"`
}

func (e end) peer() *matcher.TrafficPeer {
	peer := &matcher.TrafficPeer{IP: e.Address}
	if e.Namespace != "" {
		peer.Internal = &matcher.InternalPeer{
			PodLabels:       e.Labels,
			NamespaceLabels: e.NamespaceLabels,
			Namespace:       e.Namespace,
		}
	}
	return peer
}

func main() {
	if err := answer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cyclonus:", err)
		os.Exit(1)
	}
}

func answer(in io.Reader, out io.Writer) error {
	decoder, writer := json.NewDecoder(bufio.NewReader(in)), bufio.NewWriter(out)
	encoder := json.NewEncoder(writer)
	for {
		var q question
		if err := decoder.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		policy := matcher.BuildNetworkPolicies(false, q.Policies)
		allowed := make([]bool, 0, len(q.Connections))
		for _, c := range q.Connections {
			result := policy.IsTrafficAllowed(&matcher.Traffic{
				Source:           c.Source.peer(),
				Destination:      c.Destination.peer(),
				ResolvedPort:     c.Port,
				ResolvedPortName: c.PortName,
				Protocol:         c.Protocol,
			})
			allowed = append(allowed, result.IsAllowed())
		}
		if err := encoder.Encode(allowed); err != nil {
			return err
		}
		if err := writer.Flush(); err != nil {
			return err
		}
	}
}
