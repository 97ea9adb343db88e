package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/counterfoil/counterfoil/internal/fetch"
	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/oauth"
	"github.com/counterfoil/counterfoil/revocation"
)

// maxFrame bounds one line of the stream, in bytes.
const maxFrame = 64 << 10

func (a *app) feedTailCommand() *cobra.Command {
	var (
		issuer, credential string
		machine, frames    bool
	)
	cmd := &cobra.Command{
		Use: "tail --issuer URL", Short: "Print revocations as they come, each checked", Args: takes(),
		Long: `Follow the feed from its head and print a line for each revocation: number, kind,
handle and flags. A handle is a keyed hash: it does not tell who was revoked.

With --frames the signed frames themselves are printed, one on a line. Kept in a
file elsewhere, they are what counterfoil restored takes after a backup came back.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd.Flags(), "issuer"); err != nil {
				return err
			}
			t, err := a.openTail(cmd.Context(), issuer, credential)
			if err != nil {
				return err
			}
			a.say("following epoch %d after number %d", t.at.Epoch, t.at.Seq)
			err = t.follow(cmd.Context(), func(f *revocation.Frame, signed string) error {
				if frames {
					return a.printSigned(f, signed)
				}
				return a.printFrame(f, machine)
			})
			if cmd.Context().Err() != nil {
				return nil // Ctrl-C is how a tail ends
			}
			return err
		},
	}
	cmd.Flags().StringVar(&issuer, "issuer", "", "`URL` of the issuer (required)")
	cmd.Flags().StringVar(&credential, "credential", "", "`FILE` from counterfoil client add --verifier")
	cmd.Flags().BoolVar(&machine, "json", false, "print a JSON object for each revocation")
	cmd.Flags().BoolVar(&frames, "frames", false, "print the signed frames themselves, without heartbeats")
	return cmd
}

func (a *app) printSigned(f *revocation.Frame, signed string) error {
	if len(f.Entries) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(a.stdout, signed)
	return err
}

func (a *app) printFrame(f *revocation.Frame, machine bool) error {
	for i, e := range f.Entries {
		seq := f.First + uint64(i)
		absolute, quarantine := e.Flags&revocation.Absolute != 0, e.Flags&revocation.Quarantine != 0
		if machine {
			line := struct {
				Epoch      uint64 `json:"epoch"`
				Seq        uint64 `json:"seq"`
				Kind       string `json:"kind"`
				Handle     string `json:"handle"`
				Absolute   bool   `json:"absolute,omitzero"`
				Quarantine bool   `json:"quarantine,omitzero"`
			}{f.Epoch, seq, e.Kind.String(), fmt.Sprintf("%016x", uint64(e.Handle)), absolute, quarantine}
			if err := a.printJSON(line); err != nil {
				return err
			}
			continue
		}
		flags := ""
		if absolute {
			flags += " absolute"
		}
		if quarantine {
			flags += " quarantine"
		}
		if _, err := fmt.Fprintf(a.stdout, "%d %s %016x%s\n", seq, e.Kind, uint64(e.Handle), flags); err != nil {
			return err
		}
	}
	return nil
}

// A tail follows the feed of one issuer.
type tail struct {
	client *http.Client
	issuer string
	feed   string // base URL
	basic  [2]string
	keys   *jwk.Set // feed keys that the root vouches for
	at     revocation.Position
}

// openTail finds the feed, and through its root key the keys that sign it.
func (a *app) openTail(ctx context.Context, issuer, credential string) (*tail, error) {
	u, err := fetch.ParseURL(issuer)
	if err != nil {
		return nil, misuse("--issuer: %v", err)
	}
	t := &tail{client: fetch.NewClient(u, anyAddress), issuer: issuer}
	if credential != "" {
		data, err := a.readInput(credential)
		if err != nil {
			return nil, err
		}
		name, secret, ok := strings.Cut(trimLine(data), ":")
		if !ok {
			return nil, misuse("%s does not hold NAME:SECRET", credential)
		}
		t.basic = [2]string{name, secret}
	}
	if err := t.discover(ctx); err != nil {
		return nil, err
	}
	return t, t.trust(ctx)
}

func (t *tail) get(ctx context.Context, url, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Cache-Control", "no-cache")
	if t.basic[0] != "" {
		req.SetBasicAuth(t.basic[0], t.basic[1])
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, (&adminClient{where: t.issuer, hint: "is the URL right?"}).unreachable(err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, &fetch.StatusError{Status: resp.StatusCode}
	}
	return resp, nil
}

// read gets a whole small answer.
func (t *tail) read(ctx context.Context, url string) ([]byte, error) {
	resp, err := t.get(ctx, url, "*/*")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return fetch.Body(resp.Body, maxKeySet)
}

func (t *tail) discover(ctx context.Context) error {
	data, err := t.read(ctx, t.issuer+oauth.WellKnownOpenID)
	if err != nil {
		return err
	}
	meta, err := oauth.ParseMetadata(data, t.issuer)
	if err != nil {
		return err
	}
	if meta.Feed == "" {
		return errors.New("this issuer has no revocation feed")
	}
	feed, err := url.Parse(meta.Feed)
	issuer, _ := url.Parse(t.issuer)
	if err != nil || !fetch.SameOrigin(feed, issuer) {
		return errors.New("the feed is on another host than the issuer: the credential is not sent there")
	}
	t.feed = meta.Feed
	return nil
}

func (t *tail) trust(ctx context.Context) error {
	data, err := t.read(ctx, t.feed+"/key")
	if err != nil {
		if status, ok := errors.AsType[*fetch.StatusError](err); ok && status.Status == http.StatusUnauthorized {
			return hinted(errors.New("the feed's key is for verifiers only"), "counterfoil client add --verifier NAME --out FILE, then --credential FILE")
		}
		return err
	}
	var key struct {
		Root jsontext.Value `json:"root"`
	}
	if err := wire.Unmarshal(data, &key); err != nil {
		return err
	}
	root, err := jwk.Parse(key.Root)
	if err != nil {
		return err
	}
	manifest, err := t.read(ctx, t.feed+"/manifest")
	if err != nil {
		return err
	}
	text := string(bytes.TrimSpace(manifest))
	statement, err := revocation.UnverifiedTrust(text)
	if err != nil {
		return err
	}
	anchor := revocation.NewAnchor(root, t.issuer)
	if err := anchor.Accept(statement); err != nil {
		return err
	}
	t.keys = anchor.FeedKeys()
	m, err := revocation.OpenManifest(t.keys, t.issuer, text)
	if err != nil {
		return err
	}
	t.at = m.Position()
	return nil
}

// follow reads the stream until it ends.
func (t *tail) follow(ctx context.Context, frame func(f *revocation.Frame, signed string) error) error {
	after := strconv.FormatUint(t.at.Epoch, 10) + "." + strconv.FormatUint(t.at.Seq, 10)
	resp, err := t.get(ctx, t.feed+"/tail?after="+after, "text/event-stream")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxFrame)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		f, err := revocation.OpenFrame(t.keys, t.issuer, data)
		if err != nil {
			return err
		}
		if f.C0 != t.at.C {
			return errors.New("a frame does not continue the one before")
		}
		t.at = f.End()
		if err := frame(f, data); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return errors.New("the issuer ended the stream")
}
