package revocation

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"time"
)

// The file that a verifier starts from: magic, header, marks, records, a record
// of zeros, and the SHA-256 of all that. Numbers are big-endian.
const fileMagic = "cftable\x01" // the last byte is the version

// fileHeader is what stands between the issuer and the marks.
type fileHeader struct {
	Epoch, Seq           uint64
	C                    Link
	Dropped, Expired     uint64
	AsOf                 uint64 // Unix milliseconds
	Elapsed              uint64 // on the feed's clock; this and the rest in milliseconds
	Retention            uint64
	Shorter, ShorterFrom uint64
	Flooded              uint8
	Marks                uint32
}

// WriteTo writes the table to w, for [ReadTable]. Checks and Apply may go on
// meanwhile. The result is as secret as the feed: it names nobody, and shows
// how much was revoked.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	out := &fileWriter{w: w, sum: sha256.New()}
	b := bufio.NewWriterSize(out, 64<<10)
	if err := t.write(b); err != nil {
		return out.n, err
	}
	if err := b.Flush(); err != nil {
		return out.n, err
	}
	n, err := w.Write(out.sum.Sum(nil))
	return out.n + int64(n), err
}

// write takes head and marks first and the entries after them, so that the
// entries are at least those that the head promises.
func (t *Table) write(w *bufio.Writer) error {
	t.mu.Lock()
	h, marks, view := t.fileHeader(), t.fileMarks(), t.view.Load()
	t.mu.Unlock()

	w.WriteString(fileMagic)
	binary.Write(w, binary.BigEndian, uint16(len(t.iss)))
	w.WriteString(t.iss)
	binary.Write(w, binary.BigEndian, h)
	binary.Write(w, binary.BigEndian, marks)
	buf := make([]byte, 0, recordSize)
	var err error
	view.each(func(handle Handle, m mark) bool {
		r := Record{m.seq(), Entry{m.kind(), m.flags(), handle}}
		_, err = w.Write(r.append(buf))
		return err == nil
	})
	if err != nil {
		return err
	}
	_, err = w.Write(make([]byte, recordSize))
	return err
}

func (t *Table) fileHeader() fileHeader {
	head, z := t.Head(), &t.horizon
	h := fileHeader{
		Epoch: head.Epoch, Seq: head.Seq, C: head.C,
		Dropped: t.dropped, Expired: z.expired,
		Elapsed: toMillis(z.clock.elapsed), Retention: toMillis(z.retention),
		Shorter: toMillis(z.shorter), ShorterFrom: toMillis(z.shorterAt),
		Marks: uint32(len(z.marks)),
	}
	if !z.clock.newest.IsZero() {
		h.AsOf = millis(z.clock.newest)
	}
	if t.view.Load().flooded {
		h.Flooded = 1
	}
	return h
}

func (t *Table) fileMarks() []uint64 {
	var marks []uint64
	for _, m := range t.horizon.marks {
		marks = append(marks, toMillis(m.at), m.seq)
	}
	return marks
}

// ReadTable reads what WriteTo wrote. The retention is the longer of the file's
// and cfg's, the latter from now on; Cap may be another. A file that is cut off
// or damaged is ErrFormat, and one of another issuer ErrIssuer: then start with
// NewTable. The sum keeps out accidents, not enemies: keep the file where only
// its owner writes.
func ReadTable(cfg TableConfig, r io.Reader) (*Table, error) {
	t, err := NewTable(cfg)
	if err != nil {
		return nil, err
	}
	in := &fileReader{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	if err := t.read(in); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errFormat("table file is cut off")
		}
		return nil, err
	}
	if err := in.finish(); err != nil {
		return nil, err
	}
	t.advance(t.horizon.clock.newest)
	return t, nil
}

func (t *Table) read(in *fileReader) error {
	magic, err := in.next(len(fileMagic) + 2)
	if err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint16(magic[len(fileMagic):]))
	if !bytes.HasPrefix(magic, []byte(fileMagic)) || size > maxIssuer {
		return errFormat("not a table file")
	}
	iss, err := in.next(size)
	if err != nil {
		return err
	}
	if string(iss) != t.iss {
		return ErrIssuer
	}
	if err := t.readHeader(in); err != nil {
		return err
	}
	return t.readRecords(in)
}

func (t *Table) readHeader(in *fileReader) error {
	var h fileHeader
	b, err := in.next(binary.Size(h))
	if err != nil {
		return err
	}
	if _, err := binary.Decode(b, binary.BigEndian, &h); err != nil {
		return errFormat("table file")
	}
	if err := h.check(); err != nil {
		return err
	}
	z := &t.horizon
	wanted := z.retention
	z.retention, z.shorter, z.shorterAt = fromMs(h.Retention), fromMs(h.Shorter), fromMs(h.ShorterFrom)
	z.expired, z.clock.elapsed = h.Expired, fromMs(h.Elapsed)
	if h.AsOf != 0 {
		z.clock.newest = fromMillis(h.AsOf)
	}
	t.dropped = h.Dropped
	v := *t.view.Load()
	v.flooded = h.Flooded != 0
	if h.Epoch != 0 {
		v.low = h.Dropped
		t.head.Store(&Position{h.Epoch, h.Seq, h.C})
	}
	t.show(v)
	if err := z.readMarks(in, int(h.Marks)); err != nil {
		return err
	}
	z.set(wanted)
	return nil
}

func (h *fileHeader) check() error {
	const longest = uint64(1 << 42) // milliseconds: 139 years
	switch {
	case h.Epoch > MaxSeq || h.Seq > MaxSeq || h.AsOf > MaxSeq || (h.Epoch == 0) != (h.Seq == 0):
		return errFormat("position")
	case h.Dropped > MaxSeq || h.Expired > MaxSeq || h.Flooded > 1 || h.Marks > maxMarks:
		return errFormat("table file")
	case max(h.Elapsed, h.Retention, h.Shorter, h.ShorterFrom) > longest:
		return errFormat("durations")
	}
	return nil
}

func (h *horizon) readMarks(in *fileReader, n int) error {
	for range n {
		b, err := in.next(16)
		if err != nil {
			return err
		}
		m := timeMark{fromMs(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:])}
		if m.at < 0 || m.at > h.clock.elapsed || m.seq > MaxSeq {
			return errFormat("time mark")
		}
		h.marks = append(h.marks, m)
	}
	return nil
}

func (t *Table) readRecords(in *fileReader) error {
	end := make([]byte, recordSize)
	for {
		b, err := in.next(recordSize)
		if err != nil {
			return err
		}
		if bytes.Equal(b, end) {
			return nil
		}
		r, err := readRecord(b)
		if err != nil {
			return err
		}
		t.put(r)
	}
}

// fileWriter sums up and counts what passes through.
type fileWriter struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (f *fileWriter) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	f.sum.Write(p[:n])
	f.n += int64(n)
	return n, err
}

// fileReader sums up what is read. What it returns is valid until the next
// call.
type fileReader struct {
	r   *bufio.Reader
	sum hash.Hash
	buf [maxIssuer]byte
}

func (f *fileReader) next(n int) ([]byte, error) {
	b := f.buf[:n]
	if _, err := io.ReadFull(f.r, b); err != nil {
		return nil, err
	}
	f.sum.Write(b)
	return b, nil
}

// finish checks the sum, and that nothing follows it.
func (f *fileReader) finish() error {
	want := f.sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(f.r, got); err != nil {
		return errFormat("table file is cut off")
	}
	if subtle.ConstantTimeCompare(want, got) != 1 {
		return errFormat("table file is damaged")
	}
	if _, err := f.r.ReadByte(); err != io.EOF {
		return errFormat("table file has more than a table")
	}
	return nil
}

func toMillis(d time.Duration) uint64 { return uint64(max(d, 0) / time.Millisecond) }
func fromMs(ms uint64) time.Duration  { return time.Duration(ms) * time.Millisecond }
