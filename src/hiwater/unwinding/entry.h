/* The records of .eh_frame: what they cover, and the instructions that they hold. */
#ifndef HW_UNWINDING_ENTRY_H
#define HW_UNWINDING_ENTRY_H

#include "cursor.h"

struct cfi_record {
	struct cfi_cursor body; /* behind the id */
	uint64_t id;		/* 0: a CIE; of an FDE, how far its CIE stands before `id_address` */
	uint64_t id_address;
};

struct cfi_fde { /* what describes the code of [start, start + size), and what its CIE says of it */
	struct cfi_cursor common, own; /* the instructions of both */
	uint64_t start, size;
	uint64_t code_align;
	int64_t data_align;
	uint64_t ra; /* the register that stands for the return address */
	unsigned encoding;
	bool wide, sized, signal;
};

/* The record at `table`, which goes on behind it. False: there is none; the table is bad, or a terminator was read (other
 * records can follow one). A record that is too short for an id counts as a CIE, which will be refused. */
static inline bool cfi_read_record(struct cfi_cursor *table, struct cfi_record *out)
{
	uint64_t len = cfi_take(table, 4);
	bool longer = len == 0xffffffff;

	if (longer)
		len = cfi_take(table, 8);
	if (table->bad || len == 0)
		return false;
	out->body = (struct cfi_cursor){table->at, table->end, table->bias, false};
	cfi_skip(table, len);
	out->body.end = table->at;
	out->id_address = cfi_address(&out->body);
	out->id = longer ? cfi_take(&out->body, 8) : cfi_take(&out->body, 4);
	return !table->bad;
}

/* What the letters behind 'z' announce; an unknown one ends it, as what follows is unknown too. */
static inline bool cfi_read_augmentation(const char *letters, size_t count, struct cfi_cursor data, struct cfi_fde *out)
{
	for (size_t i = 0; i < count; i++) {
		unsigned form;

		switch (letters[i]) {
		case 'R': out->encoding = (unsigned)cfi_take(&data, 1); break;
		case 'S': out->signal = true; break;
		case 'L': cfi_skip(&data, 1); break;
		case 'P': /* the personality routine, which is passed over */
			form = (unsigned)cfi_take(&data, 1);
			if (form == 0x50) /* aligned: of no machine that is unwound */
				return false;
			if (form != 0xff)
				cfi_pointer(&data, form & 0x0f, out->wide, NULL);
			break;
		case 'B': /* aarch64: signed with key B; tagged stack */
		case 'G': break;
		default: return !data.bad;
		}
	}
	return !data.bad;
}

static inline bool cfi_read_cie(struct cfi_cursor *table, struct cfi_fde *out)
{
	struct cfi_record record;
	struct cfi_cursor *c = &record.body, data;
	const char *text;
	size_t room;
	unsigned version;

	if (!cfi_read_record(table, &record) || record.id != 0)
		return false;
	version = (unsigned)cfi_take(c, 1);
	if (version != 1 && version != 3 && version != 4)
		return false;
	text = (const char *)c->at;
	room = strnlen(text, (size_t)(c->end - c->at));
	cfi_skip(c, room + 1);
	if (c->bad)
		return false;
	if (version == 4 && (cfi_take(c, 1) != (out->wide ? 8 : 4) || cfi_take(c, 1) != 0)) /* address size, segment size */
		return false;
	out->code_align = cfi_uleb(c);
	out->data_align = cfi_sleb(c);
	out->ra = version == 1 ? cfi_take(c, 1) : cfi_uleb(c);
	out->sized = room > 0;
	if (out->sized) {
		if (text[0] != 'z') /* "eh" of gcc 2 and the like: how long its data are is not told */
			return false;
		data = cfi_block(c);
		if (!cfi_read_augmentation(text + 1, room - 1, data, out))
			return false;
	}
	out->common = (struct cfi_cursor){c->at, c->end, c->bias, false};
	return !c->bad;
}

/* The FDE of a record whose CIE stands at `cie`; it reads on in both. False: it cannot be used. */
static inline bool cfi_read_fde(struct cfi_record *record, struct cfi_cursor *cie, bool wide, struct cfi_fde *out)
{
	struct cfi_cursor *c = &record->body;

	out->wide = wide;
	out->encoding = 0;
	out->signal = false;
	if (!cfi_read_cie(cie, out))
		return false;
	out->start = cfi_pointer(c, out->encoding, wide, NULL);
	out->size = cfi_pointer(c, out->encoding & 0x0f, wide, NULL);
	if (out->sized)
		cfi_skip(c, cfi_uleb(c));
	out->own = (struct cfi_cursor){c->at, c->end, c->bias, false};
	return !c->bad;
}

#endif
