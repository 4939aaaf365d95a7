// libyaml's emitter does layout and escaping; the choice of the style is ours, so that text is never misread.
#include <yaml.h>

#include <algorithm>

#include "json/yaml.h"
#include "json/yaml_scalar.h"

namespace llmd::json {
namespace {

// NEL, LS and PS are line breaks for YAML 1.1 and would not come back as themselves.
bool has_exotic_break(std::string_view text) {
  return text.find("\xc2\x85") != std::string_view::npos ||
         text.find("\xe2\x80\xa8") != std::string_view::npos ||
         text.find("\xe2\x80\xa9") != std::string_view::npos;
}

// A text block (|) keeps every character only if no line begins or ends in a way that indentation would
// swallow.
bool fits_text_block(std::string_view text) {
  if (text.find('\n') == std::string_view::npos || text.front() == ' ' || text.front() == '\n' ||
      text.back() == ' ' || text.ends_with("\n\n") || text.find(" \n") != std::string_view::npos) {
    return false;
  }
  const auto is_control = [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f;
  };
  return std::ranges::none_of(text, is_control) && !has_exotic_break(text);
}

class Writer {
 public:
  Writer() {
    yaml_emitter_initialize(&emitter_);
    yaml_emitter_set_output(&emitter_, &Writer::append, &out_);
    yaml_emitter_set_unicode(&emitter_, 1);
    yaml_emitter_set_width(&emitter_, -1);
    yaml_emitter_set_indent(&emitter_, 2);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { yaml_emitter_delete(&emitter_); }

  std::string write(const Value& value) && {
    yaml_event_t event;
    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    yaml_emitter_emit(&emitter_, &event);
    yaml_document_start_event_initialize(&event, nullptr, nullptr, nullptr, 1);
    yaml_emitter_emit(&emitter_, &event);
    emit(value);
    yaml_document_end_event_initialize(&event, 1);
    yaml_emitter_emit(&emitter_, &event);
    yaml_stream_end_event_initialize(&event);
    yaml_emitter_emit(&emitter_, &event);
    yaml_emitter_flush(&emitter_);
    return std::move(out_);
  }

 private:
  static int append(void* out, unsigned char* bytes, std::size_t size) {
    static_cast<std::string*>(out)->append(reinterpret_cast<const char*>(bytes), size);
    return 1;
  }

  void emit(const Value& value) {
    if (const Object* object = value.if_object()) {
      return emit_object(*object);
    }
    if (const Array* array = value.if_array()) {
      return emit_array(*array);
    }
    if (const String* text = value.if_string()) {
      return emit_string({text->data(), text->size()}, false);
    }
    emit_scalar(json::write(value), YAML_PLAIN_SCALAR_STYLE);
  }

  void emit_object(const Object& object) {
    yaml_event_t event;
    yaml_mapping_start_event_initialize(&event, nullptr, nullptr, 1, YAML_BLOCK_MAPPING_STYLE);
    yaml_emitter_emit(&emitter_, &event);
    for (const auto& member : object) {
      emit_string({member.key().data(), member.key().size()}, true);
      emit(member.value());
    }
    yaml_mapping_end_event_initialize(&event);
    yaml_emitter_emit(&emitter_, &event);
  }

  void emit_array(const Array& array) {
    yaml_event_t event;
    yaml_sequence_start_event_initialize(&event, nullptr, nullptr, 1, YAML_BLOCK_SEQUENCE_STYLE);
    yaml_emitter_emit(&emitter_, &event);
    for (const Value& item : array) {
      emit(item);
    }
    yaml_sequence_end_event_initialize(&event);
    yaml_emitter_emit(&emitter_, &event);
  }

  void emit_string(std::string_view text, bool is_key) {
    if (!reads_as_itself(text)) {
      return emit_scalar(text, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
    }
    if (!is_key && fits_text_block(text)) {
      return emit_scalar(text, YAML_LITERAL_SCALAR_STYLE);
    }
    const bool has_breaks = text.find_first_of("\n\r\t") != std::string_view::npos;
    emit_scalar(text, has_breaks ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_ANY_SCALAR_STYLE);
  }

  void emit_scalar(std::string_view text, yaml_scalar_style_t style) {
    yaml_event_t event;
    const auto initialize = [&](std::string_view bytes) {
      return yaml_scalar_event_initialize(&event, nullptr, nullptr,
                                          reinterpret_cast<const yaml_char_t*>(bytes.data()),
                                          static_cast<int>(bytes.size()), 1, 1, style);
    };
    if (!initialize(text)) {
      // Not UTF-8: values that were parsed never are, so losing the odd bytes beats losing the document.
      std::string ascii(text);
      for (char& c : ascii) {
        c = static_cast<unsigned char>(c) < 0x80 ? c : '?';
      }
      initialize(ascii);
    }
    yaml_emitter_emit(&emitter_, &event);
  }

  yaml_emitter_t emitter_{};
  std::string out_;
};

}  // namespace

std::string write_yaml(const Value& value) {
  return Writer().write(value);
}

}  // namespace llmd::json
