// Command witness cosigns checkpoints of one log (C2SP tlog-witness), with the libraries that public witnesses use.
//
//	witness ADDRESS KEYFILE
//
// It prints its verifier key. KEYFILE holds that of the log, and is read at each request: while it isn't there, the log is
// unknown.
package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	formats "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

type witness struct {
	signer  note.Signer
	keyFile string
	mu      sync.Mutex
	latest  map[string]formats.Checkpoint
}

// A refusal is a status, and the size that is known, where it is a conflict.
type refusal struct {
	status int
	size   uint64
	why    error
}

func refuse(status int, why string) *refusal { return &refusal{status: status, why: errors.New(why)} }

func (w *witness) add(body []byte) (string, *refusal) {
	head, signed, found := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	old, err := strconv.ParseUint(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if !found || err != nil {
		return "", refuse(http.StatusBadRequest, "no old size")
	}
	var hashes [][]byte
	for _, line := range lines[1:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return "", refuse(http.StatusBadRequest, "a line of the proof is no hash")
		}
		hashes = append(hashes, hash)
	}
	key, err := os.ReadFile(w.keyFile)
	if err != nil {
		return "", refuse(http.StatusNotFound, "unknown log")
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		return "", refuse(http.StatusNotFound, err.Error())
	}
	checkpoint, _, opened, err := formats.ParseCheckpoint(signed, verifier.Name(), verifier)
	if err != nil {
		return "", refuse(http.StatusForbidden, err.Error())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.latest[checkpoint.Origin]
	if old != known.Size {
		return "", &refusal{http.StatusConflict, known.Size, errors.New("another size is known")}
	}
	if old > 0 {
		err = proof.VerifyConsistency(rfc6962.DefaultHasher, old, checkpoint.Size, hashes, known.Hash, checkpoint.Hash)
	} else if len(hashes) > 0 {
		err = errors.New("a proof from nothing")
	}
	if err != nil {
		return "", refuse(http.StatusUnprocessableEntity, err.Error())
	}
	cosigned, err := note.Sign(&note.Note{Text: opened.Text}, w.signer)
	if err != nil {
		return "", refuse(http.StatusInternalServerError, err.Error())
	}
	w.latest[checkpoint.Origin] = *checkpoint
	return string(cosigned[len(opened.Text)+1:]), nil
}

func (w *witness) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(io.LimitReader(in.Body, 1<<20))
	if err != nil || in.Method != http.MethodPost || in.URL.Path != "/add-checkpoint" {
		http.Error(out, "POST /add-checkpoint", http.StatusBadRequest)
		return
	}
	lines, refused := w.add(body)
	switch {
	case refused == nil:
		fmt.Fprint(out, lines)
	case refused.status == http.StatusConflict:
		out.Header().Set("Content-Type", "text/x.tlog.size")
		out.WriteHeader(refused.status)
		fmt.Fprintf(out, "%d\n", refused.size)
	default:
		http.Error(out, refused.why.Error(), refused.status)
	}
}

func main() {
	secret, key, err := note.GenerateKey(nil, "witness.example/test")
	if err != nil {
		log.Fatal(err)
	}
	signer, err := fnote.NewSignerForCosignatureV1(secret)
	if err != nil {
		log.Fatal(err)
	}
	key, err = fnote.VKeyToCosignatureV1(key)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key)
	w := &witness{signer: signer, keyFile: os.Args[2], latest: map[string]formats.Checkpoint{}}
	log.Fatal(http.ListenAndServe(os.Args[1], w))
}
