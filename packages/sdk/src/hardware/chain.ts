import { type Path, step } from "@mmu-notifier/steps";
import { type AccessRequest, type NextStage, type Translation, type TranslationStage } from "./translation.js";
import { F_PERMISSION, F_TRANSLATION, leafAllows, type TranslationResult } from "./translation-result.js";

const NOTHING_BELOW: NextStage = function* () {
  return F_TRANSLATION;
};

/**
 * Puts stages one under the other, the one nearest the device first: `chain(atc, iotlb, walker)`. What the last stage passes on is
 * an F_TRANSLATION.
 *
 * @public
 */
export function chain(...stages: readonly TranslationStage[]): Translation & TranslationStage {
  const through = (request: AccessRequest, bottom: NextStage): Path<TranslationResult> => {
    let next = bottom;
    for (const stage of [...stages].reverse()) {
      const below = next;
      next = (r) => stage.translate(r, below);
    }
    return next(request);
  };
  const [nearest] = stages;
  return {
    hit: (vpn, write) => nearest?.hit?.(vpn, write) ?? 0,
    *translate(request: AccessRequest, next: NextStage = NOTHING_BELOW): Path<TranslationResult> {
      const result = yield* through(request, next);
      if (result <= 0 || request.ats || leafAllows(result, request.write)) return result;
      const { held } = request;
      if (!held.any) return F_PERMISSION;
      return yield step("refused", () => {
        held.end();
        return F_PERMISSION;
      });
    },
  };
}
