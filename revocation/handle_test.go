package revocation_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/revocation"
)

var handleSecret = bytes.Repeat([]byte("0123456789abcdef"), 2)

func TestHandleIsTheDocumentedMAC(t *testing.T) {
	key, err := revocation.NewHandleKey(handleSecret)
	if err != nil {
		t.Fatal(err)
	}
	for kind := revocation.Token; kind <= revocation.Everything; kind++ {
		for _, value := range []string{"", "alice", strings.Repeat("x", 1000)} {
			mac := hmac.New(sha256.New, handleSecret)
			mac.Write(append([]byte{byte(kind), 0}, issuer+"\x00"+value...))
			want := revocation.Handle(binary.BigEndian.Uint64(mac.Sum(nil)))
			if got := key.Handle(kind, issuer, value); got != want {
				t.Errorf("%v %.10q: %x, want %x", kind, value, got, want)
			}
			if got := key.Target(kind, issuer, value); got != target(kind, want) {
				t.Errorf("Target: %v", got)
			}
		}
	}
}

func TestHandleKeyHidesItsSecret(t *testing.T) {
	key, err := revocation.NewHandleKey(handleSecret)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("key", "key", key, "inside", struct{ K revocation.HandleKey }{key})
	shown := logged.String() + fmt.Sprintf("%v %+v %#v %s %x %q %d", key, key, key, key, key, key, struct{ K *revocation.HandleKey }{&key})
	for _, secret := range []string{string(handleSecret[:8]), "30313233", "48 49 50", "0x30, 0x31"} {
		if strings.Contains(shown, secret) {
			t.Errorf("the secret shows as %q in %s", secret, shown)
		}
	}
	if !strings.Contains(shown, key.ID()) {
		t.Errorf("the id is not shown: %s", shown)
	}
	_ = fmt.Sprint(revocation.HandleKey{})
}

func TestHandleKeySecretIsCopiedAndHasOneSize(t *testing.T) {
	for _, n := range []int{0, 31, 33} {
		if _, err := revocation.NewHandleKey(make([]byte, n)); err == nil {
			t.Errorf("%d bytes are accepted", n)
		}
	}
	own := bytes.Clone(handleSecret)
	key, _ := revocation.NewHandleKey(own)
	clear(own)
	again, _ := revocation.NewHandleKey(handleSecret)
	if key.Handle(revocation.Subject, issuer, "a") != again.Handle(revocation.Subject, issuer, "a") || key.ID() != again.ID() {
		t.Error("the key changes with the caller's slice")
	}
	other, _ := revocation.NewHandleKey(append([]byte{0}, handleSecret[1:]...))
	if other.ID() == key.ID() {
		t.Error("two keys have one id")
	}
}

func TestHandlesConcurrently(t *testing.T) {
	key, _ := revocation.NewHandleKey(handleSecret)
	want := key.Handle(revocation.Subject, issuer, "alice")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				key.Handle(revocation.Session, issuer, "other")
				if got := key.Handle(revocation.Subject, issuer, "alice"); got != want {
					t.Errorf("%x, want %x", got, want)
				}
			}
		})
	}
	all.Wait()
}

func ExampleHandleKey_Handle() {
	key, err := revocation.NewHandleKey([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%016x\n", uint64(key.Handle(revocation.Subject, "https://id.example", "alice")))
	// Output: b5ac96ff0e5cc3aa
}
