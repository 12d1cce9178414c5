"""What every section of a recipe shares: frozen, strict, no unknown keys, and digests that stay."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """LATER: keys that a section had not at first. At their default they are left out of what is digested, so that
    older recipes keep their digests, and what was trained from them need not be trained again."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    LATER: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        return {key: value for key, value in values.items() if key not in self.LATER or value != fields[key].default}
