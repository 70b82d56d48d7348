-- A move of the root looks for each victim's fence, among all that were ever raised.
CREATE INDEX fences_tenant ON fences (tenant, fence);
