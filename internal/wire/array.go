package wire

// EachElement reads text, which has to be one JSON object, by the rules of
// [Unmarshal], and calls each with every element of the array that is its member
// name. An element that is an object is in members meanwhile, taken apart, and for
// any other members is empty. It reports whether there is such an array. It stops
// at the first error of each; its own are [*JSONError].
//
// What stands behind an element has not been read when each is called with it.
func EachElement(text, name string, members *Object, each func(Value) error) (found bool, err error) {
	s := scanner{text: text}
	i := s.space(0)
	if s.at(i) != '{' {
		s.fail(i, reasonKind)
		return false, s.err()
	}
	var names nameSet
	i, more := s.first(i, '}')
	for more {
		start := i
		end, plain := s.name(i)
		if end < 0 {
			return found, s.err()
		}
		member := unquote(text[start:end], plain)
		i = s.colon(end)
		switch {
		case i < 0:
		case !names.add(member):
			i = s.fail(start, reasonDuplicate)
		case member == name && s.at(i) == '[':
			found = true
			if i, err = s.each(i, members, each); err != nil {
				return found, err
			}
		default:
			i, _ = s.value(i, 1)
		}
		if i < 0 {
			return found, s.err()
		}
		i, more = s.next(i, '}')
	}
	if i < 0 {
		return found, s.err()
	}
	if i = s.space(i); i != len(text) {
		s.fail(i, reasonMalformed)
		return found, s.err()
	}
	return found, nil
}

// each reads the array whose bracket is at i, a member of the outermost object.
func (s *scanner) each(i int, members *Object, each func(Value) error) (int, error) {
	const depth = 2 // of an element
	i, more := s.first(i, ']')
	for more {
		end, plain := members.element(s, i, depth)
		if end < 0 {
			return end, nil
		}
		if err := each(Value{s.text[i:end], plain}); err != nil {
			return end, err
		}
		i, more = s.next(end, ']')
	}
	return i, nil
}

// element reads the value at i, and into o if it is an object.
func (o *Object) element(s *scanner, i, depth int) (end int, plain bool) {
	o.Reset()
	if s.at(i) == '{' {
		return o.parse(s, i, depth), false
	}
	return s.value(i, depth)
}
